package group_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"

	"davbus.org/davbus/engine/davserver/davtest"
)

// dieAfterRequest is dieAfter for a member on a server: its n-th write is made and
// not answered, no later request is heard, and the ledger takes no more.
func (w *world) dieAfterRequest(member, n int) (revive func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.ctx = ctx // nobody waits for a server to come back once the process is dead
	var mu sync.Mutex
	idle := sync.NewCond(&mu)
	running, dead := 0, false
	die := davtest.Change(func(out http.ResponseWriter, r *http.Request, _ *httptest.ResponseRecorder) {
		mu.Lock()
		dead = true
		mu.Unlock()
		cancel()
		davtest.Reset()(nil).ServeHTTP(out, r)
	})
	w.servers[member].Always("", func(next http.Handler) http.Handler {
		last := die(next)
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			mu.Lock()
			h := next
			if r.Method == http.MethodPut || r.Method == http.MethodDelete {
				n--
			}
			switch {
			case dead:
				h = davtest.Reset()(nil)
			case n == 0:
				h = last
			}
			running++
			mu.Unlock()
			h.ServeHTTP(out, r)
			mu.Lock()
			running--
			idle.Broadcast()
			mu.Unlock()
		})
	})
	w.ledger.Before = func() error {
		mu.Lock()
		defer mu.Unlock()
		if dead {
			return errDied
		}
		return nil
	}
	return func() {
		mu.Lock()
		for running > 0 {
			idle.Wait()
		}
		mu.Unlock()
		w.servers[member].Heal()
		w.ctx, w.ledger.Before = nil, nil
	}
}
