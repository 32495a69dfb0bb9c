package storage_test

import (
	"bytes"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/dav"
)

func TestScenario61ABrokenItemIsRefusedAndNotListed(t *testing.T) {
	for name, fault := range map[string]davtest.Fault{"by a status": nil, "inside of a 207, as Xandikos does": davtest.PutIn207()} {
		t.Run(name, func(t *testing.T) {
			s := served(t, engine.Calendar)
			if fault != nil {
				s.server.Always("PUT", fault)
			}
			for _, text := range []string{"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:x\r\nEND:VCALENDAR\r\n", "<html>", string(card("x", "Ann"))} {
				w := engine.Write{Verb: engine.Create, UID: "x", Text: []byte(text)}
				s.refused(s.apply(w)[0], engine.InvalidItem, engine.Forbidden, engine.Changed)
			}
			if got := s.list(); len(got) > 0 {
				t.Errorf("listed %v", got)
			}
		})
	}
}

func TestScenario62EveryCharacterMayStandInAName(t *testing.T) {
	s := served(t, engine.Calendar)
	m := s.server.Source.Storage(s.made.Name)
	names := []engine.Ref{"ünïcödé.ics", "中国.ics", "a b.ics", "100%.ics"}
	for _, c := range ":?#[]@!$&'()*+,;=<>" {
		names = append(names, engine.Ref("a"+string(c)+"b.ics"))
	}
	for _, name := range names {
		m.Put(name, event(string(name), "theirs"))
	}
	heads := s.list()
	for _, name := range names {
		old := engine.Head{Ref: name, Etag: heads[name]}
		theirs := event(string(name), "theirs")
		if got := s.fetch(name)[name]; got != string(theirs) {
			t.Errorf("%q: fetched %q", name, got)
			continue
		}
		out := s.apply(engine.Write{Verb: engine.Replace, Old: old, Was: item.Sum(theirs), Text: event(string(name), "ours")})[0]
		if out.Err != nil || out.Head.Ref != name || m.Texts()[name] != string(event(string(name), "ours")) {
			t.Errorf("%q: replaced: %+v, %q", name, out, m.Texts()[name])
		}
		if out := s.apply(engine.Write{Verb: engine.Delete, Old: out.Head, Was: item.Sum(event(string(name), "ours"))})[0]; out.Err != nil {
			t.Errorf("%q: %v", name, out.Err)
		}
	}
	if left := m.Texts(); len(heads) != len(names) || len(left) > 0 {
		t.Errorf("%d listed, left over %v", len(heads), left)
	}
}

func TestScenario66AnAnswerThatIsNoListIsAnErrorAfterOneRequest(t *testing.T) {
	s := served(t, engine.Calendar)
	s.apply(create(event("a", "one")))
	s.server.Always("", davtest.Answer(200, "text/plain", "Hello world"))
	s.server.ResetLog()
	for h, err := range s.List(t.Context()) {
		if err == nil {
			t.Errorf("listed %v", h)
		} else if !engine.IsKind(err, engine.ServerNonconforming) {
			t.Errorf("got %v", err)
		}
	}
	if n := s.server.Count(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestScenario67MixedPropertiesControlCharactersAndNamesEncodedTwice(t *testing.T) {
	s := served(t, engine.Calendar)
	const name = "UID%3Ax%0Ay.ics" // UID%253Ax%250Ay.ics in a URL
	s.server.Source.Storage(s.made.Name).Put(name, event("x", "one"))
	s.server.Always("", davtest.Edit(func(body []byte) []byte {
		body = bytes.Replace(body, []byte("</d:href>"), []byte("</d:href><d:propstat><d:prop><d:quota-used-bytes/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>"), 1)
		return bytes.ReplaceAll(body, []byte("SUMMARY:one"), []byte("SUMMARY:o\x01ne"))
	}))
	heads := s.list()
	if len(heads) != 1 || heads[name] == "" {
		t.Fatalf("listed %v", heads)
	}
	text, ok := s.fetch(name)[name]
	if !ok || strings.Contains(text, "%25") || !strings.Contains(text, "SUMMARY:o") {
		t.Errorf("fetched %q", text)
	}
	s.server.Heal()
	if out := s.apply(engine.Write{Verb: engine.Replace, Old: engine.Head{Ref: name, Etag: heads[name]}, Was: item.Sum(event("x", "one")), Text: event("x", "two")})[0]; out.Err != nil || out.Head.Ref != name {
		t.Errorf("%+v", out)
	}
	if again := s.list(); len(again) != 1 {
		t.Errorf("listed %v", again)
	}
}

func TestScenario68CollectionsAreMadeWithTheirColourAndNeverRemoved(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	src, err := dav.New(dav.Options{URL: srv.URL + "/", Client: srv.Client(t).Transport})
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{"#aAbBcC": "#AABBCC", "#AABBCC": "#AABBCC"} {
		made, err := src.Make(t.Context(), engine.Collection{Name: "c" + value[1:], Kind: engine.Calendar, Meta: engine.Meta{engine.MetaName: "🔥<lol>", engine.MetaColor: value}})
		if err != nil || made.Meta[engine.MetaName] != "🔥<lol>" || !strings.EqualFold(made.Meta[engine.MetaColor], want) {
			t.Errorf("made %+v, %v", made, err)
		}
		if _, err := src.Make(t.Context(), engine.Collection{Name: "c" + value[1:], Kind: engine.Calendar}); !engine.IsKind(err, engine.AlreadyExists) {
			t.Errorf("once more: %v", err)
		}
	}
	if n := srv.Count("DELETE"); n > 0 {
		t.Errorf("%d deletions", n)
	}
}

func TestScenario69AMissingOneOfAFetchHurtsNoOther(t *testing.T) {
	for name, fault := range map[string]davtest.Fault{
		"404 inside": nil,
		"left out, as Nextcloud does": davtest.Edit(func(body []byte) []byte {
			a, rest, ok := bytes.Cut(body, []byte("<d:response><d:href>/user/calendars/home/gone.ics"))
			if !ok {
				return body
			}
			_, rest, _ = bytes.Cut(rest, []byte("</d:response>\n"))
			return append(a, rest...)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			s := served(t, engine.Calendar)
			a, b := s.apply(create(event("a", "one")))[0], s.apply(create(event("b", "one")))[0]
			if fault != nil {
				s.server.Always("REPORT", fault)
			}
			got := s.fetch(a.Head.Ref, "gone.ics", b.Head.Ref)
			if len(got) != 2 || got[a.Head.Ref] == "" || got[b.Head.Ref] == "" {
				t.Errorf("fetched %v", got)
			}
		})
	}
}
