// Package storage_test holds the scenarios of docs/scenarios.md that concern one
// storage, by number, over a real folder and a calendar on a real HTTP server.
package storage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/dav"
	"davbus.org/davbus/engine/storage/storagetest"
	"davbus.org/davbus/engine/storage/vdir"
)

// A shelf is one collection with what lies behind it.
type shelf struct {
	*testing.T
	engine.Storage
	src    engine.Source
	made   engine.Collection
	server *davtest.Server // nil of a folder
	folder string          // "" of a server
}

// both runs a scenario over a folder and over a server.
func both(t *testing.T, kind string, scenario func(s *shelf)) {
	t.Run("folder", func(t *testing.T) { scenario(folder(t, kind)) })
	t.Run("server", func(t *testing.T) { scenario(served(t, kind)) })
}

func folder(t *testing.T, kind string) *shelf {
	root := t.TempDir()
	s := &shelf{T: t, src: vdir.New(vdir.Options{Path: root, Kind: kind, WriteName: true}), folder: filepath.Join(root, "home")}
	return s.open(kind)
}

func served(t *testing.T, kind string) *shelf {
	srv := davtest.New(t, davtest.Options{})
	src, err := dav.New(dav.Options{URL: srv.URL + "/", Client: srv.Client(t).Transport})
	s := &shelf{T: t, src: src, server: srv}
	s.must(err)
	return s.open(kind)
}

func (s *shelf) open(kind string) *shelf {
	var err error
	s.made, err = s.src.Make(s.Context(), engine.Collection{Name: "home", Kind: kind})
	s.must(err)
	s.Storage, err = s.src.Open(s.made)
	s.must(err)
	return s
}

func (s *shelf) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *shelf) apply(writes ...engine.Write) []engine.Outcome {
	s.Helper()
	outs := make([]engine.Outcome, len(writes))
	for i, out := range s.Apply(s.Context(), writes) {
		if i < 0 {
			s.Fatal(out.Err)
		}
		outs[i] = out
	}
	return outs
}

func (s *shelf) list() map[engine.Ref]engine.Etag {
	s.Helper()
	heads := map[engine.Ref]engine.Etag{}
	for h, err := range s.List(s.Context()) {
		s.must(err)
		heads[h.Ref] = h.Etag
	}
	return heads
}

func (s *shelf) fetch(refs ...engine.Ref) map[engine.Ref]string {
	s.Helper()
	texts := map[engine.Ref]string{}
	for it, err := range s.Fetch(s.Context(), refs) {
		s.must(err)
		texts[it.Ref] = string(it.Text)
	}
	return texts
}

func (s *shelf) refused(out engine.Outcome, kinds ...engine.Kind) {
	s.Helper()
	if out.Err == nil || !slices.Contains(kinds, engine.KindOf(out.Err)) {
		s.Errorf("got %v, want an error of one of %v", out.Err, kinds)
	}
}

func create(text []byte) engine.Write {
	return engine.Write{Verb: engine.Create, UID: item.Read(text).UID, Text: text}
}

func event(uid, summary string) []byte {
	return storagetest.Text(engine.Calendar, engine.UID(uid), summary)
}

func todo(uid, summary string) []byte {
	return []byte(strings.ReplaceAll(strings.Replace(string(event(uid, summary)), "DTSTART", "DUE", 1), "VEVENT", "VTODO"))
}

func card(uid, name string) []byte {
	return storagetest.Text(engine.AddressBook, engine.UID(uid), name)
}

func TestScenario50NineItemsOfEachKindGoRound(t *testing.T) {
	for _, kind := range []struct {
		name string
		text func(uid, body string) []byte
	}{{engine.Calendar, event}, {engine.Calendar, todo}, {engine.AddressBook, card}} {
		both(t, kind.name, func(s *shelf) {
			told := map[engine.Ref]engine.Etag{}
			want := map[engine.Ref]string{}
			for i := range 9 {
				text := kind.text(fmt.Sprint("u", i), fmt.Sprint("number ", i))
				out := s.apply(create(text))[0]
				s.must(out.Err)
				told[out.Head.Ref], want[out.Head.Ref] = out.Head.Etag, string(text)
			}
			heads := s.list()
			got := s.fetch(slices.Collect(func(yield func(engine.Ref) bool) {
				for ref := range heads {
					if !yield(ref) {
						return
					}
				}
			})...)
			if len(heads) != 9 || len(got) != 9 {
				s.Fatalf("%d listed, %d fetched", len(heads), len(got))
			}
			for ref, etag := range told {
				if heads[ref] != etag || got[ref] != want[ref] {
					s.Errorf("%s: etag %q was told and %q is listed; text %q", ref, etag, heads[ref], got[ref])
				}
				out := s.apply(engine.Write{Verb: engine.Delete, Old: engine.Head{Ref: ref, Etag: etag}, Was: item.Sum([]byte(want[ref]))})[0]
				s.must(out.Err)
			}
			if left := s.list(); len(left) > 0 {
				s.Errorf("left over: %v", left)
			}
		})
	}
}

func TestScenario51NothingAskedIsNoRequestAndATwinInARequestIsOne(t *testing.T) {
	both(t, engine.Calendar, func(s *shelf) {
		a, b := s.apply(create(event("a", "one")))[0], s.apply(create(event("b", "two")))[0]
		before := s.list()
		if s.server != nil {
			s.server.ResetLog()
		}
		if got := s.fetch(); len(got) > 0 || s.server != nil && s.server.Count() > 0 {
			s.Errorf("nothing was asked for, and %v came", got)
		}
		n := 0
		for it, err := range s.Fetch(s.Context(), []engine.Ref{a.Head.Ref, a.Head.Ref, a.Head.Ref}) {
			s.must(err)
			if n++; it.Ref != a.Head.Ref {
				s.Errorf("%s came", it.Ref)
			}
		}
		if n < 1 || n > 3 || s.server != nil && s.server.Count() > 1 {
			s.Errorf("%d times", n)
		}
		s.must(s.apply(engine.Write{Verb: engine.Replace, Old: a.Head, Was: item.Sum(event("a", "one")), Text: event("a", "new")})[0].Err)
		if after := s.list(); after[b.Head.Ref] != before[b.Head.Ref] || after[a.Head.Ref] == before[a.Head.Ref] {
			s.Errorf("before %v, after %v", before, after)
		}
	})
}

func TestScenario52And70AWriteOverAnotherVersionIsRefused(t *testing.T) {
	both(t, engine.Calendar, func(s *shelf) {
		first := s.apply(create(event("a", "one")))[0]
		s.must(first.Err)
		again := create(event("a", "twin"))
		again.Old.Ref = first.Head.Ref
		if out := s.apply(again)[0]; out.Err == nil && (s.server != nil || out.Head.Ref == first.Head.Ref) {
			s.Errorf("created over what is there: %+v", out.Head)
		}
		one := item.Sum(event("a", "one"))
		s.refused(s.apply(engine.Write{Verb: engine.Replace, Old: engine.Head{Ref: "nobody.ics", Etag: "x"}, Was: one, Text: event("a", "x")})[0], engine.Changed)
		s.must(s.apply(engine.Write{Verb: engine.Replace, Old: first.Head, Was: one, Text: event("a", "two")})[0].Err)
		s.refused(s.apply(engine.Write{Verb: engine.Replace, Old: first.Head, Was: one, Text: event("a", "late")})[0], engine.Changed)
		s.refused(s.apply(engine.Write{Verb: engine.Delete, Old: first.Head, Was: one})[0], engine.Changed)
		if got := s.fetch(first.Head.Ref)[first.Head.Ref]; got != string(event("a", "two")) {
			s.Errorf("it became %q", got)
		}
	})
}

func TestScenario53AnyUIDHasASafeName(t *testing.T) {
	both(t, engine.Calendar, func(s *shelf) {
		uids := []string{"a/b", "../../up", strings.Repeat("x", 1800), "with spaces", "a@example.org", "ä", "кириллица", "line%0Abreak"}
		for _, uid := range uids {
			out := s.apply(create(event(uid, "x")))[0]
			s.must(out.Err)
			if got := s.fetch(out.Head.Ref)[out.Head.Ref]; got != string(event(uid, "x")) {
				s.Errorf("%q came back as %q", uid, got)
			}
			if name := string(out.Head.Ref); len(name) > 210 || strings.ContainsAny(name, "/ %\n") {
				s.Errorf("%q is stored as %q", uid, name)
			}
		}
		if got := s.list(); len(got) != len(uids) {
			s.Errorf("listed %v", got)
		}
	})
}

func TestScenario55CapitalsTellUIDsApart(t *testing.T) {
	both(t, engine.Calendar, func(s *shelf) {
		for i, out := range s.apply(create(event("uid", "small")), create(event("UID", "large"))) {
			if out.Err != nil {
				s.Errorf("%d: %v", i, out.Err)
			}
		}
		if got := s.list(); len(got) != 2 {
			s.Errorf("listed %v", got)
		}
	})
}

func TestScenario56AnOverrideBeforeItsMasterSurvives(t *testing.T) {
	text := strings.Replace(string(event("a", "series")), "BEGIN:VEVENT", "BEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID:20260103T100000Z\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260103T110000Z\r\nSUMMARY:moved\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nRRULE:FREQ=DAILY", 1)
	both(t, engine.Calendar, func(s *shelf) {
		out := s.apply(create([]byte(text)))[0]
		s.must(out.Err)
		if got := s.fetch(out.Head.Ref)[out.Head.Ref]; item.Sum([]byte(got)) != item.Sum([]byte(text)) {
			s.Errorf("it became %q", got)
		}
	})
}

func TestScenario57And68MetadataAreSetReadAndUnset(t *testing.T) {
	both(t, engine.Calendar, func(s *shelf) {
		m := s.Storage.(engine.MetaStorage)
		for _, name := range []string{"Work", "中国", "עברית", "🔥<lol>", "a & b"} {
			s.must(m.SetMeta(s.Context(), engine.MetaName, name, true))
			if got, err := m.Meta(s.Context()); err != nil || got[engine.MetaName] != name {
				s.Errorf("set %q, read %q, %v", name, got, err)
			}
		}
		for value, want := range map[string]string{"#aabbcc": "#AABBCC", "#AABBCC": "#AABBCC"} {
			s.must(m.SetMeta(s.Context(), engine.MetaColor, value, true))
			if got, err := m.Meta(s.Context()); err != nil || !strings.EqualFold(got[engine.MetaColor], want) {
				s.Errorf("set %q, read %q, %v", value, got, err)
			}
		}
		for _, key := range []engine.MetaKey{engine.MetaName, engine.MetaColor} {
			s.must(m.SetMeta(s.Context(), key, "", false))
			if got, err := m.Meta(s.Context()); err != nil || got[key] != "" {
				s.Errorf("unset %s, read %q, %v", key, got, err)
			}
		}
		if s.folder != "" {
			s.must(os.WriteFile(filepath.Join(s.folder, "displayname"), []byte(" \t spaces around \r\n"), 0o600))
			if got, err := m.Meta(s.Context()); err != nil || got[engine.MetaName] != "spaces around" {
				s.Errorf("read %q, %v", got, err)
			}
		}
	})
}
