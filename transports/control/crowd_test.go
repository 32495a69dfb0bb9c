package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
)

func TestU11HundredClientsAtOnceAndTheyStay(t *testing.T) {
	path := serve(t, &fake{}, 0)
	const many = 100
	var here, wg sync.WaitGroup
	here.Add(many)
	for n := range many {
		wg.Go(func() {
			c, err := Dial(path)
			if err == nil {
				defer c.Close()
				err = useIt(t.Context(), c, n)
			}
			here.Done()
			here.Wait() // all are connected and have been answered
			if err == nil {
				err = useIt(t.Context(), c, n)
			}
			if err != nil {
				t.Errorf("client %d: %v", n, err)
			}
		})
	}
	wg.Wait()
}

func useIt(ctx context.Context, c *Client, n int) error {
	for range 10 {
		var got map[string]int
		if err := c.Call(ctx, "echo", map[string]int{"n": n}, &got); err != nil {
			return err
		}
		if got["n"] != n {
			return fmt.Errorf("got %v", got)
		}
	}
	return nil
}

func TestU11AsManyClientsAsAreAllowedAndNoMore(t *testing.T) {
	path := serve(t, &fake{}, 0)
	for range maxClients {
		c, in := dial(t, path)
		ask(t, c, in, `{"jsonrpc":"2.0","id":1,"method":"commands"}`)
	}
	_, in := dial(t, path)
	if _, err := in.ReadByte(); err == nil {
		t.Error("one more was served")
	}
}

// A client may take its time: who writes a byte now and then, or never reads, is
// nobody else's matter.
func TestU11SlowClientsHarmNobody(t *testing.T) {
	f := &fake{}
	path := serve(t, f, 0)
	slow, from := dial(t, path)
	deaf, told := dial(t, path)
	ask(t, deaf, told, `{"jsonrpc":"2.0","id":1,"method":"subscribe"}`)
	for range 20 {
		f.tell[0](Event{Data: strings.Repeat("x", 100000)})
	}
	c, in := dial(t, path)
	line := `{"jsonrpc":"2.0","id":"slow","method":"commands"}` + "\n"
	for i := range len(line) {
		io.WriteString(slow, line[i:i+1])
		if got := ask(t, c, in, `{"jsonrpc":"2.0","id":2,"method":"echo","params":{"a":1}}`); !strings.Contains(got, `"a":1`) {
			t.Fatal(got)
		}
	}
	if got := read(t, from); !strings.Contains(got, `"id":"slow"`) {
		t.Error(got)
	}
}

func FuzzLinesOfAClient(f *testing.F) {
	for _, s := range []string{"{}", `{"jsonrpc":"2.0","id":1,"method":"echo","params":{}}`, "[1]", "\x00", `{"jsonrpc":"2.0","method":"$/cancel","params":{"id":1}}`, `{"jsonrpc":"2.0","id":1,"result":1}`} {
		f.Add([]byte(s))
	}
	path := serve(f, &fake{}, 0)
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, in := dial(t, path)
		defer c.Close()
		c.Write(raw)
		io.WriteString(c, "\n"+`{"jsonrpc":"2.0","id":"end","method":"commands"}`+"\n")
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatalf("%q ended the connection: %v", raw, err)
			}
			var m map[string]any
			if json.Unmarshal([]byte(line), &m) != nil {
				t.Fatalf("%q was answered with %q", raw, line)
			}
			if m["id"] == "end" {
				return
			}
		}
	})
}
