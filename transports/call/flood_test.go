package call

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A client that asks without reading the answers is read from only as far as
// there is room, whether the answers take long or are there at once; once it
// reads, every call is answered.
func TestAFloodOfCallsIsNotReadFasterThanItsAnswers(t *testing.T) {
	for _, quick := range []bool{false, true} {
		flood(t, quick)
	}
}

func flood(t *testing.T, quick bool) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		x, client := net.Pipe() // without a buffer of its own
		if quick {
			close(release)
		}
		p := Start(x, Options{Busy: 8, Handle: func(context.Context, string, json.RawMessage) (any, error) { <-release; return "done", nil }})
		defer p.Close()
		const calls = 1000
		var sent atomic.Int64
		var asking sync.WaitGroup
		asking.Go(func() {
			for i := range calls {
				if _, err := fmt.Fprintf(client, `{"jsonrpc":"2.0","id":%d,"method":"x"}`+"\n", i); err != nil {
					return
				}
				sent.Add(1)
				if quick {
					time.Sleep(time.Microsecond) // the answer is there by then
				}
			}
		})
		time.Sleep(time.Second)
		synctest.Wait() // nothing moves any more: nobody reads
		if n := sent.Load(); n < maxRefusing || n > 8+maxRefusing+200 {
			t.Errorf("%d calls were read", n)
		}
		p.mu.Lock()
		if !quick && len(p.running) != 8 {
			t.Errorf("%d calls run", len(p.running))
		}
		p.mu.Unlock()
		if !quick {
			close(release)
		}
		in := bufio.NewScanner(client)
		done := 0
		for range calls {
			if !in.Scan() {
				t.Fatal(in.Err())
			}
			if strings.Contains(in.Text(), `"done"`) {
				done++
			}
		}
		if done < 8 {
			t.Errorf("%d of %d calls were carried out", done, calls)
		}
		client.Close()
		asking.Wait()
	})
}
