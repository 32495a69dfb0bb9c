package dav_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/item"
)

func replace(h engine.Head, uid, was, now string) engine.Write {
	return engine.Write{Verb: engine.Replace, UID: engine.UID(uid), Old: h, Was: item.Sum(event(uid, was)), Text: event(uid, now)}
}

func remove(h engine.Head, uid, was string) engine.Write {
	return engine.Write{Verb: engine.Delete, UID: engine.UID(uid), Old: h, Was: item.Sum(event(uid, was))}
}

// headOf is the version of an item that a list shows now.
func headOf(t testing.TB, st engine.Storage, ref engine.Ref) engine.Head {
	t.Helper()
	heads, err := list(t, st)
	if err != nil {
		t.Fatal(err)
	}
	return engine.Head{Ref: ref, Etag: heads[ref]}
}

func TestEveryAnswerToAWriteHasItsMeaning(t *testing.T) {
	xml := func(status int, why string) davtest.Fault {
		return davtest.Answer(status, "application/xml", `<?xml version="1.0"?><D:error xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">`+why+`</D:error>`)
	}
	inside := func(status, why string) davtest.Fault {
		return davtest.Answer(207, "text/xml", `<ns0:multistatus xmlns:ns0="DAV:"><ns0:response><ns0:href>http%3A//localhost/x</ns0:href><ns0:status>HTTP/1.1 `+status+`</ns0:status><ns0:error>`+why+`</ns0:error></ns0:response></ns0:multistatus>`)
	}
	uid := `<C:no-uid-conflict><D:href>/user/calendars/cal/other.ics</D:href></C:no-uid-conflict>`
	for name, c := range map[string]struct {
		fault            davtest.Fault
		create, replace_ engine.Kind
	}{
		"400":                        {davtest.Status(400), engine.InvalidItem, engine.InvalidItem},
		"403":                        {davtest.Status(403), engine.Forbidden, engine.Forbidden},
		"403 no-uid-conflict":        {xml(403, uid), engine.AlreadyExists, engine.AlreadyExists},
		"403 valid-calendar-data":    {xml(403, "<C:valid-calendar-data/>"), engine.InvalidItem, engine.InvalidItem},
		"403 supported-component":    {xml(403, "<C:supported-calendar-component/>"), engine.InvalidItem, engine.InvalidItem},
		"403 max-resource-size":      {xml(403, "<C:max-resource-size/>"), engine.TooLarge, engine.TooLarge},
		"403 max-attendees":          {xml(403, "<C:max-attendees-per-instance/>"), engine.InvalidItem, engine.InvalidItem},
		"405":                        {davtest.Status(405), engine.ReadOnly, engine.ReadOnly},
		"409":                        {davtest.Status(409), engine.InvalidItem, engine.Changed},
		"409 no-uid-conflict":        {xml(409, uid), engine.AlreadyExists, engine.AlreadyExists},
		"412":                        {davtest.Status(412), engine.Changed, engine.Changed},
		"412 no-uid-conflict":        {xml(412, uid), engine.AlreadyExists, engine.AlreadyExists},
		"413":                        {davtest.Status(413), engine.TooLarge, engine.TooLarge},
		"415":                        {davtest.Status(415), engine.InvalidItem, engine.InvalidItem},
		"423":                        {davtest.Status(423), engine.Busy, engine.Busy},
		"507":                        {davtest.Status(507), engine.QuotaExceeded, engine.QuotaExceeded},
		"207 with no-uid-conflict":   {inside("412 Precondition Failed", uid), engine.AlreadyExists, engine.AlreadyExists},
		"207 with valid-data":        {inside("412 Precondition Failed", "<C:valid-calendar-data/>"), engine.InvalidItem, engine.InvalidItem},
		"207 with 412":               {inside("412 Precondition Failed", ""), engine.Changed, engine.Changed},
		"207 without a word":         {davtest.Empty207(), engine.ServerNonconforming, engine.ServerNonconforming},
		"202 is no promise":          {davtest.Status(202), engine.ServerNonconforming, engine.ServerNonconforming},
		"a login page is no success": {davtest.Answer(206, "text/html", "<html>"), engine.ServerNonconforming, engine.ServerNonconforming},
	} {
		t.Run(name, func(t *testing.T) {
			s, m, st, _ := filled(t, 2, davtest.Options{})
			h := headOf(t, st, "e0001.ics")
			s.When(-1, func(r davtest.Request) bool { return r.Method == "PUT" && !strings.HasSuffix(r.Path, "/good.ics") }, c.fault)
			outs, whole := apply(t, st, create("new", "one"), replace(h, "e0001", "one", "two"), create("good", "one"))
			if whole != nil {
				t.Fatalf("the batch ended: %v", whole)
			}
			wantKind(t, outs[0].Err, c.create)
			wantKind(t, outs[1].Err, c.replace_)
			if outs[2].Err != nil || len(m.Texts()) != 3 {
				t.Errorf("the good one: %v; %d items", outs[2].Err, len(m.Texts()))
			}
		})
	}
}

func TestWhatEndsABatchIsToldOnceAndTheRestNotBegun(t *testing.T) {
	for name, c := range map[string]struct {
		fault davtest.Fault
		kind  engine.Kind
	}{
		"401":   {davtest.Status(401), engine.AuthFailed},
		"404":   {davtest.Status(404), engine.CollectionGone},
		"500":   {davtest.Status(500), engine.ServerError},
		"503":   {davtest.Status(503, "Retry-After", "120"), engine.ServerBusy},
		"a cut": {davtest.Reset(), engine.ConnectionLost},
	} {
		t.Run(name, func(t *testing.T) {
			s, m, st, _ := filled(t, 0, davtest.Options{})
			s.Always("", c.fault)
			var ws []engine.Write
			for i := range 40 {
				ws = append(ws, create(fmt.Sprint("n", i), "one"))
			}
			outs, whole := apply(t, st, ws...)
			wantKind(t, whole, c.kind)
			for i, o := range outs {
				if o.Err != nil || o.Head.Ref != "" {
					t.Errorf("write %d was yielded: %v", i, o)
				}
			}
			if s.Count("PUT") > 12 || len(m.Texts()) != 0 {
				t.Errorf("%d PUTs, %d items", s.Count("PUT"), len(m.Texts()))
			}
		})
	}
}

func TestAWriteThatWasDoneAlthoughTheAnswerWasLostIsFoundOut(t *testing.T) {
	for name, fault := range map[string]davtest.Fault{
		"500 afterwards":      davtest.ThenStatus(500),
		"504 afterwards":      davtest.ThenStatus(504),
		"a cut afterwards":    davtest.ThenReset(),
		"rewritten, then 500": all(davtest.Rewriting(), davtest.ThenStatus(500)),
	} {
		t.Run(name, func(t *testing.T) {
			s, m, st, _ := filled(t, 3, davtest.Options{})
			h1, h2 := headOf(t, st, "e0001.ics"), headOf(t, st, "e0002.ics")
			s.When(-1, func(r davtest.Request) bool { return r.Method == "PUT" || r.Method == "DELETE" }, fault)
			outs, whole := apply(t, st, create("new", "one"), replace(h1, "e0001", "one", "two"), remove(h2, "e0002", "one"))
			if whole != nil || outs[0].Err != nil || outs[1].Err != nil || outs[2].Err != nil {
				t.Fatalf("%v, %v", outs, whole)
			}
			for i, o := range outs[:2] {
				if now := headOf(t, st, o.Head.Ref); now != o.Head || o.Kept {
					t.Errorf("write %d: %v is said, %v is there", i, o, now)
				}
			}
			if got := m.Texts(); len(got) != 3 || !strings.Contains(got["e0001.ics"], "two") {
				t.Errorf("%v", got)
			}
		})
	}
}

// Xandikos answers 500 to items that its parser cannot take.
func TestAnItemOnWhichTheServerFailsHoldsUpNoOther(t *testing.T) {
	const inARow, atOnce = 5, 8 // the limits of the package
	for chokes, whole := range map[int]bool{inARow - 1: false, 3 * inARow: true} {
		s, m, st, _ := filled(t, 0, davtest.Options{})
		s.When(-1, func(r davtest.Request) bool { return r.Method == "PUT" && strings.Contains(r.Path, "bad") }, davtest.Status(500))
		var ws []engine.Write
		for i := range chokes {
			ws = append(ws, create(fmt.Sprint("bad", i), "one"))
		}
		for i := range 10 {
			if !whole {
				ws = append(ws, create(fmt.Sprint("good", i), "one"))
			}
		}
		outs, err := apply(t, st, ws...)
		if whole {
			wantKind(t, err, engine.ServerError)
			if n := s.Count("PUT"); n > 2*(inARow+atOnce) {
				t.Errorf("%d PUTs to a server that fails", n)
			}
			continue
		}
		if err != nil || len(m.Texts()) != 10 {
			t.Errorf("%d bad items: %v, %d items", chokes, err, len(m.Texts()))
		}
		for _, o := range outs[:chokes] {
			wantKind(t, o.Err, engine.InvalidItem)
		}
	}
}

func TestAWriteThatWasNotDoneIsTriedOnceMore(t *testing.T) {
	for name, fault := range map[string]davtest.Fault{"500": davtest.Status(500), "a cut": davtest.Reset(), "503": davtest.Status(503, "Retry-After", "0")} {
		t.Run(name, func(t *testing.T) {
			s, m, st, _ := filled(t, 3, davtest.Options{})
			h1, h2 := headOf(t, st, "e0001.ics"), headOf(t, st, "e0002.ics")
			for _, method := range []string{"PUT", "DELETE"} {
				s.When(1, func(r davtest.Request) bool { return r.Method == method }, fault)
			}
			outs, whole := apply(t, st, create("new", "one"), replace(h1, "e0001", "one", "two"), remove(h2, "e0002", "one"))
			if whole != nil || outs[0].Err != nil || outs[1].Err != nil || outs[2].Err != nil || len(m.Texts()) != 3 {
				t.Errorf("%v, %v", outs, whole)
			}
		})
	}
}

func TestALostAnswerNeverHidesSomebodyElsesEdit(t *testing.T) {
	s, m, st, _ := filled(t, 2, davtest.Options{})
	h := headOf(t, st, "e0001.ics")
	s.When(1, func(r davtest.Request) bool { return r.Method == "PUT" }, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			m.Put("e0001.ics", event("e0001", "theirs"))
			w.WriteHeader(500)
		})
	})
	outs, whole := apply(t, st, replace(h, "e0001", "one", "ours"))
	wantKind(t, outs[0].Err, engine.Changed)
	if whole != nil || !strings.Contains(m.Texts()["e0001.ics"], "theirs") {
		t.Errorf("%v; %v", whole, m.Texts())
	}
}

func TestWritesAreConditionalWhateverEtagsTheServerGives(t *testing.T) {
	for name, fault := range map[string]davtest.Fault{
		"weak":          davtest.Etags(davtest.WeakEtags),
		"gzip":          davtest.Etags(davtest.GzipEtags),
		"bare":          davtest.Etags(davtest.BareEtags),
		"none on PUT":   davtest.Etags(davtest.NoEtagOnPut),
		"none":          davtest.Etags(davtest.NoEtags),
		"wrong on PUT":  davtest.Etags(davtest.WrongOnPut),
		"strictly weak": strictlyWeak,
	} {
		t.Run(name, func(t *testing.T) {
			s, m, st, _ := filled(t, 3, davtest.Options{})
			s.Always("", fault)
			h0, h1, h2 := headOf(t, st, "e0000.ics"), headOf(t, st, "e0001.ics"), headOf(t, st, "e0002.ics")
			m.Put("e0002.ics", event("e0002", "theirs"))
			outs, whole := apply(t, st, create("new", "one"), remove(h0, "e0000", "one"), replace(h1, "e0001", "one", "two"),
				replace(h2, "e0002", "one", "two"), remove(h2, "e0002", "one"))
			if whole != nil || outs[0].Err != nil || outs[1].Err != nil || outs[2].Err != nil {
				t.Fatalf("%v, %v", outs, whole)
			}
			wantKind(t, outs[3].Err, engine.Changed)
			wantKind(t, outs[4].Err, engine.Changed)
			got := m.Texts()
			if len(got) != 3 || !strings.Contains(got["e0001.ics"], "two") || !strings.Contains(got["e0002.ics"], "theirs") {
				t.Errorf("%v", got)
			}
			for _, r := range s.Log() {
				if (r.Method == "PUT" || r.Method == "DELETE") && r.Header.Get("If-Match") == "" && r.Header.Get("If-None-Match") != "*" {
					t.Errorf("%s %s went without a condition", r.Method, r.Path)
				}
			}
		})
	}
}

// strictlyWeak is a server that knows its etags only as it spells them: weak.
func strictlyWeak(next http.Handler) http.Handler {
	weak := davtest.Etags(davtest.WeakEtags)(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v := r.Header.Get("If-Match"); v != "" && v != "*" && !strings.HasPrefix(v, "W/") {
			w.WriteHeader(412)
			return
		}
		weak.ServeHTTP(w, r)
	})
}

func TestDeletingWhatIsGoneSucceeds(t *testing.T) {
	for name, fault := range map[string]davtest.Fault{
		"404": davtest.Status(404), "410": davtest.Status(410), "200": davtest.Status(200), "204": davtest.Status(204),
		"207 with 404": davtest.Answer(207, "text/xml", `<multistatus xmlns="DAV:"><response><href>/x</href><status>HTTP/1.1 404 Not Found</status></response></multistatus>`),
	} {
		s, _, st, _ := filled(t, 1, davtest.Options{})
		h := headOf(t, st, "e0000.ics")
		s.Always("DELETE", fault)
		s.Always("GET", davtest.Status(404))
		if outs, whole := apply(t, st, remove(h, "e0000", "one")); whole != nil || outs[0].Err != nil {
			t.Errorf("%s: %v, %v", name, outs, whole)
		}
	}
}

func TestA404ToADeletionIsBelievedOnlyWhereTheItemIsGone(t *testing.T) {
	for _, status := range []int{404, 410} {
		s, c, st, _ := filled(t, 2, davtest.Options{})
		s.When(1, func(r davtest.Request) bool { return r.Method == "DELETE" }, davtest.Status(status))
		if outs, whole := apply(t, st, remove(headOf(t, st, "e0000.ics"), "e0000", "one")); whole != nil || outs[0].Err != nil || len(c.Texts()) != 1 {
			t.Errorf("%d once: %v, %v, left %v", status, outs, whole, c.Texts())
		}
		s.Always("DELETE", davtest.Status(status))
		outs, whole := apply(t, st, remove(headOf(t, st, "e0001.ics"), "e0001", "one"))
		if whole != nil || outs[0].Err == nil || len(c.Texts()) != 1 {
			t.Errorf("%d always: %v, %v, left %v", status, outs, whole, c.Texts())
		}
	}
}
