//go:build real && further

package intro

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"davbus.org/davbus/transports/private"
)

// Ten thousand pairs of programs meet, talk and part; every hundredth is refused,
// every other hundredth finds nobody.
func TestFurtherG8TenThousandIntroductionsLeakNothing(t *testing.T) {
	d := &Door{}
	path, _ := serveDoor(t, d)
	target := dial(t, path)
	if _, err := target.Register(t.Context(), Name{Name: "echo", Public: true}, func(a *Arrival) error {
		if string(a.Metadata) == `"refuse"` {
			return fmt.Errorf("as was asked for")
		}
		go func() {
			defer a.Conn.Close()
			text, _ := io.ReadAll(a.Conn)
			a.Conn.Write(text)
		}()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	const workers = 8
	var clients [workers]*Client
	for i := range clients {
		clients[i] = dial(t, path)
		if _, err := clients[i].Names(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	files, routines := openFiles(t), runtime.NumGoroutine()
	var work sync.WaitGroup
	for w, c := range clients {
		work.Go(func() {
			for i := range 10000 / workers {
				to, metadata := "echo", "talk"
				switch i % 100 {
				case 0:
					metadata = "refuse"
				case 1:
					to = "nobody"
				}
				conn, err := c.Introduce(t.Context(), to, metadata, false)
				if (err == nil) != (i%100 > 1) {
					t.Errorf("worker %d, introduction %d: %v", w, i, err)
					return
				}
				if err != nil {
					continue
				}
				text := fmt.Sprint(w, i)
				io.WriteString(conn, text)
				conn.CloseWrite()
				if got, err := io.ReadAll(conn); err != nil || string(got) != text {
					t.Errorf("worker %d, introduction %d: %q %v", w, i, got, err)
				}
				conn.Close()
			}
		})
	}
	work.Wait()
	eventually(t, "as many descriptors and goroutines as before", func() bool {
		return openFiles(t) == files && runtime.NumGoroutine() <= routines && d.Broker.Pending() == 0
	})
}

// Five thousand connections, most of them one too many, some of them half a line:
// whoever was there before goes on, and nothing stays open.
func TestFurtherU11FiveThousandConnectsHarmNobody(t *testing.T) {
	path, _ := serveDoor(t, &Door{})
	good := dial(t, path)
	if _, err := good.Names(t.Context()); err != nil {
		t.Fatal(err)
	}
	files := openFiles(t)
	var work sync.WaitGroup
	for range 10 {
		work.Go(func() {
			var held []io.Closer
			for i := range 500 {
				sock, err := private.Dial(path)
				if err != nil {
					continue // its queue is full
				}
				io.WriteString(sock, strings.Repeat("{", i))
				if held = append(held, sock); len(held) == 20 {
					for _, c := range held {
						c.Close()
					}
					held = nil
				}
			}
			for _, c := range held {
				c.Close()
			}
		})
	}
	for range 20 {
		if _, err := good.Names(t.Context()); err != nil {
			t.Error(err)
		}
	}
	work.Wait()
	eventually(t, "as many descriptors as before", func() bool { return openFiles(t) == files })
	eventually(t, "a place is free", func() bool {
		c, err := Dial(path)
		if err != nil {
			return false
		}
		defer c.Close()
		_, err = c.Names(t.Context())
		return err == nil
	})
}
