package storage_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/vdir"
)

func TestScenario54WhatIsNoItemAndNoCollectionIsPassedOver(t *testing.T) {
	s := folder(t, engine.Calendar)
	for _, name := range []string{"x.tmp", ".x.ics.tmp", "good.ics~", "x", "x.txt", ".hidden.ics", "good.ics"} {
		s.must(os.WriteFile(filepath.Join(s.folder, name), event("x", "one"), 0o600))
	}
	if got := s.list(); len(got) != 1 || got["good.ics"] == "" {
		t.Errorf("listed %v", got)
	}
	root := filepath.Dir(s.folder)
	s.must(os.Mkdir(filepath.Join(root, ".git"), 0o700))
	s.must(os.WriteFile(filepath.Join(root, "file"), nil, 0o600))
	found, err := s.src.Look(t.Context(), true)
	if err != nil || len(found) != 1 || found[0].Name != "home" {
		t.Errorf("found %+v, %v", found, err)
	}
	if found, err := vdir.New(vdir.Options{Path: filepath.Join(root, "file")}).Look(t.Context(), true); err == nil {
		t.Errorf("a file is no folder of collections: %+v", found)
	}
}

func TestScenario59ARefThatLeadsElsewhereReachesNothing(t *testing.T) {
	s := folder(t, engine.Calendar)
	root := filepath.Dir(s.folder)
	outside := []string{filepath.Join(root, "outside.ics"), filepath.Join(root, "other", "x.ics"), filepath.Join(s.folder, "sub", "x.ics"), filepath.Join(s.folder, "card.vcf"), filepath.Join(s.folder, "x.txt")}
	for _, path := range outside {
		s.must(os.MkdirAll(filepath.Dir(path), 0o700))
		s.must(os.WriteFile(path, event("x", "theirs"), 0o600))
	}
	refs := []engine.Ref{"../outside.ics", "../other/x.ics", engine.Ref(outside[0]), "sub/x.ics", "./sub/x.ics", "card.vcf", "x.txt", "..", "."}
	var writes []engine.Write
	for _, ref := range refs {
		for it, err := range s.Fetch(t.Context(), []engine.Ref{ref}) {
			if err == nil {
				t.Errorf("%q gave %q", ref, it.Text)
			}
		}
		old, was := engine.Head{Ref: ref}, item.Sum(event("x", "theirs"))
		writes = append(writes, engine.Write{Verb: engine.Replace, Old: old, Was: was, Text: event("x", "ours")}, engine.Write{Verb: engine.Delete, Old: old, Was: was})
	}
	for i, out := range s.apply(writes...) {
		if out.Err == nil {
			t.Errorf("%s of %q succeeded", writes[i].Verb, writes[i].Old.Ref)
		}
	}
	created := create(event("y", "ours"))
	created.Old.Ref = "../made.ics"
	if out := s.apply(created)[0]; out.Err == nil && filepath.Base(string(out.Head.Ref)) != string(out.Head.Ref) {
		t.Errorf("created as %q", out.Head.Ref)
	}
	for _, path := range outside {
		if text, err := os.ReadFile(path); err != nil || !slices.Equal(text, event("x", "theirs")) {
			t.Errorf("%s became %q, %v", path, text, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(root, "made.ics")); err == nil {
		t.Error("something was made outside")
	}
}
