package dav_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/storage/dav"
)

func changes(t testing.TB, st *dav.Storage, since engine.Token) engine.Delta {
	t.Helper()
	d, err := st.Changes(t.Context(), since)
	if err != nil {
		t.Fatalf("changes since %q: %v", since, err)
	}
	return d
}

func TestOneRequestBringsEverythingFirstAndThenWhatChanged(t *testing.T) {
	s, m, st, src := filled(t, 50, davtest.Options{})
	d := changes(t, st, "")
	if !d.Full || len(d.Changed) != 50 || len(d.Texts) != 50 || d.Token == "" {
		t.Errorf("the first: full %v, %d changed, %d texts, token %q", d.Full, len(d.Changed), len(d.Texts), d.Token)
	}
	if s.Count() != 1 {
		t.Errorf("it took %s", methods(s))
	}
	for ref, text := range m.Texts() {
		if string(d.Texts[ref]) != text {
			t.Errorf("%s came as %q", ref, d.Texts[ref])
		}
	}
	s.ResetLog()
	if _, err := src.Look(t.Context(), false); err != nil || s.Count() != 2 { // the server has two homes
		t.Errorf("a look took %s, %v", methods(s), err)
	}
	s.ResetLog()
	m.Put("e0001.ics", event("e0001", "two"))
	m.Put("new.ics", event("new", "one"))
	m.Remove("e0002.ics")
	d = changes(t, st, d.Token)
	if d.Full || len(d.Changed) != 2 || len(d.Gone) != 1 || d.Gone[0] != "e0002.ics" || len(d.Texts) != 2 || s.Count() != 1 {
		t.Errorf("the second: %+v by %s", d, methods(s))
	}
	s.ResetLog()
	if d2 := changes(t, st, d.Token); len(d2.Changed)+len(d2.Gone) != 0 || d2.Token != d.Token || s.Count() != 1 {
		t.Errorf("nothing changed: %+v by %s", d2, methods(s))
	}
}

// A list that is asked for again may know a newer version than the text that came
// along with the first.
func TestATextIsNeverToldBesideTheEtagOfANewerOne(t *testing.T) {
	s, m, st, _ := filled(t, 5, davtest.Options{})
	token := changes(t, st, "").Token
	st = open(t, source(t, s, davtest.Options{}), "cal") // which remembers nothing, and asks twice
	m.Put("e0001.ics", event("e0001", "two"))
	m.Put("e0002.ics", event("e0002", "two"))
	s.When(1, func(r davtest.Request) bool { return r.Method == "REPORT" }, davtest.Change(func(w http.ResponseWriter, _ *http.Request, a *httptest.ResponseRecorder) {
		m.Put("e0001.ics", event("e0001", "three"))
		w.WriteHeader(a.Code)
		w.Write(a.Body.Bytes())
	}))
	s.ResetLog()
	d := changes(t, st, token)
	if _, told := d.Texts["e0001.ics"]; told || !d.Full || s.Count("REPORT") != 2 {
		t.Errorf("told %q, full %v, by %s", d.Texts["e0001.ics"], d.Full, methods(s))
	}
	if string(d.Texts["e0002.ics"]) != string(event("e0002", "two")) {
		t.Errorf("what did not move is asked for again: %q", d.Texts)
	}
}

func TestScenario73ARefusedTokenIsAnsweredFromEmptyOnce(t *testing.T) {
	for _, how := range davtest.TokenRefusals {
		for _, young := range []bool{false, true} {
			t.Run(fmt.Sprint(how, young), func(t *testing.T) {
				s, m, st, _ := filled(t, 5, davtest.Options{})
				token := changes(t, st, "").Token
				if young { // another run, which remembers nothing
					st = open(t, source(t, s, davtest.Options{}), "cal")
				}
				m.Remove("e0001.ics")
				m.Put("e0002.ics", event("e0002", "two"))
				s.Always("", davtest.RefuseTokens(how))
				s.ResetLog()
				d := changes(t, st, token)
				if !d.Full || len(d.Changed) != 4 {
					t.Errorf("%+v", d)
				}
				if s.Count("REPORT") > 4 {
					t.Errorf("it took %s", methods(s))
				}
				if st, err := st.Changes(t.Context(), ""); err != nil || !st.Full {
					t.Errorf("from empty: %+v, %v", st, err)
				}
			})
		}
	}
}

func TestWhoCannotTellChangesIsListedForADay(t *testing.T) {
	for name, fault := range map[string]davtest.Fault{
		"403":                  davtest.NoReport("sync-collection", 403),
		"415":                  davtest.NoReport("sync-collection", 415),
		"501":                  davtest.NoReport("sync-collection", 501),
		"500":                  davtest.NoReport("sync-collection", 500),
		"an empty 207":         davtest.Empty207(),
		"a login page":         davtest.HTML200(),
		"names of elsewhere":   davtest.Hrefs(func(h string) string { return "/alias" + h }),
		"pages without an end": davtest.Edit(func(b []byte) []byte { return bytes.Replace(b, []byte("</d:multistatus>"), []byte(more), 1) }),
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			s, _, _, _ := filled(t, 3, davtest.Options{})
			src, err := dav.New(dav.Options{URL: s.URL + "/", Client: s.Client(t).Transport, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			st := open(t, src, "cal")
			s.Always("REPORT", fault)
			_, err = st.Changes(t.Context(), "")
			wantKind(t, err, engine.NotSupported)
			if s.Count() > 20 {
				t.Errorf("it took %d requests to see that", s.Count())
			}
			s.Heal()
			s.ResetLog()
			rest := 24 * time.Hour
			if name == "500" { // it may only have stumbled
				rest = time.Hour
			}
			for range 2 {
				_, err = st.Changes(t.Context(), "")
				wantKind(t, err, engine.NotSupported)
				now = now.Add(rest / 2)
			}
			if s.Count() != 0 {
				t.Errorf("asked again too soon: %s", methods(s))
			}
			if d := changes(t, st, ""); len(d.Changed) != 3 {
				t.Errorf("a day later: %+v", d)
			}
		})
	}
}

const more = `<d:response><d:href>/user/calendars/cal/</d:href><d:status>HTTP/1.1 507 Insufficient Storage</d:status></d:response></d:multistatus>`

func TestScenario73PagesAreReadToTheLast(t *testing.T) {
	s, m, st, _ := filled(t, 25, davtest.Options{PageSize: 10})
	d := changes(t, st, "")
	if !d.Full || len(d.Changed) != 25 || s.Count() != 3 {
		t.Errorf("%d changed by %s", len(d.Changed), methods(s))
	}
	s.ResetLog()
	s.When(-1, func(r davtest.Request) bool { return r.N >= 2 }, davtest.Reset())
	if _, err := st.Changes(t.Context(), ""); err == nil {
		t.Error("a page was lost, and nobody told")
	}
	s.Heal()
	for i := range 15 {
		m.Remove(engine.Ref(fmt.Sprintf("e%04d.ics", i)))
	}
	s.ResetLog()
	if d = changes(t, st, d.Token); d.Full || len(d.Gone) != 15 || s.Count() != 2 {
		t.Errorf("%+v by %s", d, methods(s))
	}
}

func TestAnErrorThatIsNoAnswerIsNoReasonToForgetTokens(t *testing.T) {
	refusedToken := func(then davtest.Fault) davtest.Fault {
		return all(then, requests(func(_ *http.Request, body []byte) bool {
			return !bytes.Contains(body, []byte("sync-token></D:sync-token"))
		}, davtest.Status(410)))
	}
	for _, c := range []struct {
		fault davtest.Fault
		kind  engine.Kind
	}{
		{davtest.Status(401), engine.AuthFailed},
		{refusedToken(davtest.Status(401)), engine.AuthFailed},
		{refusedToken(davtest.Reset()), engine.ConnectionLost},
		{davtest.Reset(), engine.ConnectionLost},
		{davtest.Status(404), engine.CollectionGone},
		{davtest.Status(503, "Retry-After", "3600"), engine.ServerBusy},
		{davtest.Truncate(100, true), engine.ConnectionLost},
	} {
		s, _, st, _ := filled(t, 3, davtest.Options{})
		token := changes(t, st, "").Token
		s.Always("REPORT", c.fault)
		for _, since := range []engine.Token{"", token} {
			_, err := st.Changes(t.Context(), since)
			wantKind(t, err, c.kind)
		}
		s.Heal()
		if d := changes(t, st, token); d.Full {
			t.Errorf("%v: the token was forgotten", c.kind)
		}
	}
}

func TestTextsAlongWithChangesAreAskedForOnlyWhereTheyAreGiven(t *testing.T) {
	inline := []byte("calendar-data")
	for name, fault := range map[string]davtest.Fault{
		"left out": davtest.NoInline(),
		"an error": requests(func(r *http.Request, body []byte) bool {
			return bytes.Contains(body, []byte("sync-collection")) && bytes.Contains(body, inline)
		}, davtest.Status(400)),
		"broken": requests(func(r *http.Request, body []byte) bool {
			return bytes.Contains(body, []byte("sync-collection")) && bytes.Contains(body, inline)
		}, davtest.Status(500)),
	} {
		t.Run(name, func(t *testing.T) {
			s, m, st, _ := filled(t, 5, davtest.Options{})
			s.Always("REPORT", fault)
			d := changes(t, st, "")
			if !d.Full || len(d.Changed) != 5 || len(d.Texts) != 0 {
				t.Errorf("%+v", d)
			}
			m.Put("e0001.ics", event("e0001", "two"))
			s.ResetLog()
			if d = changes(t, st, d.Token); d.Full || len(d.Changed) != 1 || s.Count() != 1 {
				t.Errorf("%+v by %s", d, methods(s))
			}
		})
	}
}

func TestAnEmptyCollectionIsProvedToBe(t *testing.T) {
	s, _, st, _ := filled(t, 0, davtest.Options{})
	if d := changes(t, st, ""); !d.Full || len(d.Changed) != 0 || s.Count("PROPFIND") != 1 {
		t.Errorf("%+v by %s", d, methods(s))
	}
}

func TestAChangeUnderAnotherPathIsNotPassedOver(t *testing.T) {
	s, m, st, _ := filled(t, 3, davtest.Options{})
	token := changes(t, st, "").Token
	m.Put("e0001.ics", event("e0001", "two"))
	s.Always("REPORT", davtest.Edit(func(b []byte) []byte {
		return bytes.Replace(b, []byte("/calendars/"), []byte("/by-number/"), 1)
	}))
	if d, err := st.Changes(t.Context(), token); !engine.IsKind(err, engine.NotSupported) { // so it is listed
		t.Errorf("got %+v, %v", d, err)
	}
}
