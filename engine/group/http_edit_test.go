package group_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
)

// Somebody edits on the server just after any one request of a sync was answered,
// what was edited here and there already: all edits are in the outcome.
func TestAnEditBetweenAnyTwoRequestsIsNotLost(t *testing.T) {
	for n, most := 0, 1; n < most; n++ {
		s := newSite(t, nil)
		want := map[string]props{"i0": {100, 200, 300}, "i1": {1, 1, 301}, "i2": {1, 1, 1}}
		for uid := range want {
			s.remote.Put(engine.Ref(uid+".ics"), write(uid, props{1, 1, 1}))
		}
		if _, err := s.sync(); err != nil {
			t.Fatal(err)
		}
		change(s.local, "i0", 0, 100)
		change(s.remote, "i0", 2, 300)
		change(s.remote, "i1", 2, 301)
		s.another()
		s.heal()
		s.server.At(n, davtest.Change(func(out http.ResponseWriter, _ *http.Request, a *httptest.ResponseRecorder) {
			change(s.remote, "i0", 1, 200)
			maps.Copy(out.Header(), a.Header())
			out.WriteHeader(a.Code)
			out.Write(a.Body.Bytes())
		}))
		s.sync()
		most = s.server.Count()
		s.heal()
		for range 3 {
			if _, err := s.sync(); err != nil {
				t.Fatalf("a healed run: %v", err)
			}
		}
		if wrong := s.wrong(want); wrong != "" {
			t.Errorf("after request %d of %d: %s", n, most, wrong)
		}
	}
}
