package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"
)

func TestU11HundredClientsAtOnce(t *testing.T) {
	path := serve(t, &fake{}, 0)
	var wg sync.WaitGroup
	for n := range 100 {
		wg.Go(func() {
			for deadline := time.Now().Add(20 * time.Second); ; {
				err := useOnce(t.Context(), path, n)
				if err == nil {
					return
				}
				// The 65th is closed at once, and comes again.
				if time.Now().After(deadline) {
					t.Errorf("client %d: %v", n, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func useOnce(ctx context.Context, path string, n int) error {
	c, err := Dial(path)
	if err != nil {
		return err
	}
	defer c.Close()
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

func TestSixtyFourClientsAndNoMore(t *testing.T) {
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
