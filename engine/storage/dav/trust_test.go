package dav_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/storage/dav"
)

func TestAServerIsTakenAtItsWordOnlyAfterFiftyBodies(t *testing.T) {
	for _, rewrites := range []bool{false, true} {
		s, _, st, _ := filled(t, 0, davtest.Options{})
		if rewrites {
			s.Always("PUT", davtest.Rewriting())
		}
		kept := func(n int, name string) int {
			k := 0
			var refs []engine.Ref
			for i := range n {
				outs, whole := apply(t, st, create(fmt.Sprint(name, i), "one"))
				if whole != nil || outs[0].Err != nil {
					t.Fatal(outs, whole)
				}
				if outs[0].Kept {
					k++
				}
				refs = append(refs, outs[0].Head.Ref)
			}
			if _, _, err := fetch(t, st, refs...); err != nil {
				t.Fatal(err)
			}
			return k
		}
		if k := kept(49, "a"); k != 0 {
			t.Errorf("rewrites %v: %d of 49 were vouched for", rewrites, k)
		}
		if k := kept(1, "b"); k != 0 {
			t.Errorf("rewrites %v: the 50th was vouched for", rewrites)
		}
		if k := kept(64, "c"); rewrites && k != 0 || !rewrites && (k < 50 || k == 64) {
			t.Errorf("rewrites %v: %d of the next 64 were vouched for", rewrites, k)
		}
	}
}

func TestNamesOfNewItemsAreSafeEverywhere(t *testing.T) {
	s, m, st, _ := filled(t, 0, davtest.Options{})
	for _, uid := range []string{"plain@example.org", "../../evil/x", ".hidden", "a/b", "ä", "%2e%2e%2f", strings.Repeat("x", 201), strings.Repeat("y", 200), "con\x01trol", "{4F1C}", ""} {
		outs, whole := apply(t, st, engine.Write{Verb: engine.Create, UID: engine.UID(uid), Text: event(strings.ReplaceAll(uid, "\x01", ""), "one")})
		if whole != nil || outs[0].Err != nil {
			t.Errorf("%q: %v, %v", uid, outs, whole)
		}
	}
	for ref := range m.Texts() {
		name := strings.TrimSuffix(string(ref), ".ics")
		if name == "" || len(name) > 200 || name[0] == '.' || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@+-") != "" {
			t.Errorf("an item is called %q", ref)
		}
	}
	if len(m.Texts()) != 11 {
		t.Errorf("%d items", len(m.Texts()))
	}
	for _, r := range s.Log() {
		if !strings.HasPrefix(r.Path, "/user/calendars/cal/") {
			t.Errorf("%s went to %s", r.Method, r.Path)
		}
	}
}

func TestANewNameOfTheServersIsTakenUp(t *testing.T) {
	for name, fault := range map[string]davtest.Fault{
		"Location": davtest.Change(func(w http.ResponseWriter, r *http.Request, a *httptest.ResponseRecorder) {
			w.Header().Set("Location", "/user/calendars/cal/renamed.ics")
			w.Header().Set("ETag", a.Header().Get("ETag"))
			w.WriteHeader(a.Code)
		}),
		"a redirect": davtest.Status(307, "Location", "/user/calendars/cal/renamed.ics"),
	} {
		s, _, st, _ := filled(t, 0, davtest.Options{})
		s.When(-1, func(r davtest.Request) bool { return r.Method == "PUT" && strings.HasSuffix(r.Path, "/new.ics") }, fault)
		outs, whole := apply(t, st, create("new", "one"))
		if whole != nil || outs[0].Err != nil || outs[0].Head.Ref != "renamed.ics" {
			t.Errorf("%s: %v, %v", name, outs, whole)
		}
	}
}

func TestADeletionOnASchedulingServerTellsNobody(t *testing.T) {
	for _, scheduling := range []bool{true, false} {
		s, _, _, _ := filled(t, 1, davtest.Options{})
		if scheduling {
			s.Always("OPTIONS", davtest.Status(200, "DAV", "1, 3, calendar-access, calendar-auto-schedule"))
		}
		st := open(t, source(t, s, davtest.Options{}), "cal")
		h := headOf(t, st, "e0000.ics")
		s.ResetLog()
		if outs, whole := apply(t, st, remove(h, "e0000", "one")); whole != nil || outs[0].Err != nil {
			t.Fatal(outs, whole)
		}
		if got := s.Log()[0].Header.Get("Schedule-Reply"); (got == "F") != scheduling {
			t.Errorf("scheduling %v: Schedule-Reply %q", scheduling, got)
		}
	}
}

func TestABatchStopsBetweenTwoWrites(t *testing.T) {
	s, m, st, _ := filled(t, 0, davtest.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var ws []engine.Write
	for i := range 50 {
		ws = append(ws, create(fmt.Sprint("n", i), "one"))
	}
	yielded, ended := 0, false
	for i, o := range st.Apply(ctx, ws) {
		if i < 0 {
			ended = true
			wantKind(t, o.Err, engine.Cancelled)
			continue
		}
		yielded++
		cancel()
	}
	if !ended || yielded == 0 || s.Count("PUT") > 8 || len(m.Texts()) < yielded {
		t.Errorf("ended %v, %d yielded, %d PUTs, %d items", ended, yielded, s.Count("PUT"), len(m.Texts()))
	}
}

var _ engine.Source = (*dav.Source)(nil)
