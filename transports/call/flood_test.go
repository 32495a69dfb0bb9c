package call

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// A client that asks without reading the answers is read from only as far as
// there is room; once it reads, every call is answered.
func TestAFloodOfCallsIsNotReadFasterThanItsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		x, client := net.Pipe() // without a buffer of its own
		p := Start(x, Options{Busy: 8, Handle: func(context.Context, string, json.RawMessage) (any, error) { <-release; return "done", nil }})
		defer p.Close()
		const calls = 1000
		var sent atomic.Int64
		go func() {
			for i := range calls {
				if _, err := fmt.Fprintf(client, `{"jsonrpc":"2.0","id":%d,"method":"x"}`+"\n", i); err != nil {
					return
				}
				sent.Add(1)
			}
		}()
		synctest.Wait() // nothing moves any more: nobody reads
		if n := sent.Load(); n < maxRefusing || n > 8+maxRefusing+200 {
			t.Errorf("%d calls were read", n)
		}
		p.mu.Lock()
		if p.refusing > maxRefusing || len(p.running) != 8 {
			t.Errorf("%d refusals wait, %d calls run", p.refusing, len(p.running))
		}
		p.mu.Unlock()
		close(release)
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
	})
}
