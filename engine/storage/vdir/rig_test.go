package vdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/storagetest"
)

// A rig is one folder, looked at from inside and from outside.
type rig struct {
	testing.TB
	s    *Source
	f    *Folder
	root string
	path string
}

func newRig(tb testing.TB, kind string) *rig {
	tb.Helper()
	root := tb.TempDir()
	r := &rig{TB: tb, s: New(Options{Path: root, WriteName: true}), root: root, path: filepath.Join(root, "home")}
	if _, err := r.s.Make(tb.Context(), engine.Collection{Name: "home", Kind: kind}); err != nil {
		tb.Fatal(err)
	}
	r.open(kind)
	return r
}

// open looks at the folder as a new process would.
func (r *rig) open(kind string) {
	r.Helper()
	s := New(r.s.opt)
	s.now = r.s.now
	r.s = s
	found, err := r.s.Look(r.Context(), true)
	if err != nil || len(found) != 1 {
		r.Fatalf("found %v, %v", found, err)
	}
	if kind != "" {
		found[0].Kind = kind
	}
	opened, err := r.s.Open(found[0])
	if err != nil {
		r.Fatal(err)
	}
	r.f = opened.(*Folder)
}

func event(uid, body string) []byte { return storagetest.Text(engine.Calendar, engine.UID(uid), body) }

func (r *rig) file(name string) string { return filepath.Join(r.path, name) }

func (r *rig) put(name string, text []byte) {
	r.Helper()
	if err := os.WriteFile(r.file(name), text, 0o600); err != nil {
		r.Fatal(err)
	}
}

// swap saves as good editors do: a new file renamed over the old one.
func (r *rig) swap(name string, text []byte) {
	r.Helper()
	r.put("editor.tmp", text)
	if err := os.Rename(r.file("editor.tmp"), r.file(name)); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) text(name string) string {
	r.Helper()
	text, err := os.ReadFile(r.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "none"
	}
	if err != nil {
		r.Fatal(err)
	}
	return string(text)
}

// names are all names in the folder, temporary ones too.
func (r *rig) names() []string {
	r.Helper()
	entries, err := os.ReadDir(r.path)
	if err != nil {
		r.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (r *rig) list() map[engine.Ref]engine.Etag {
	r.Helper()
	heads := map[engine.Ref]engine.Etag{}
	for h, err := range r.f.List(r.Context()) {
		if err != nil {
			r.Fatalf("list: %v", err)
		}
		heads[h.Ref] = h.Etag
	}
	return heads
}

// fetch gives one item, or its error; a nil text says that it is gone.
func (r *rig) fetch(ref engine.Ref) (engine.Item, error) {
	r.Helper()
	for it, err := range r.f.Fetch(r.Context(), []engine.Ref{ref}) {
		if it.Ref != ref {
			r.Fatalf("fetched %q instead of %q: %v", it.Ref, ref, err)
		}
		return it, err
	}
	return engine.Item{}, nil
}

func (r *rig) mustFetch(ref engine.Ref) engine.Item {
	r.Helper()
	it, err := r.fetch(ref)
	if err != nil || it.Text == nil {
		r.Fatalf("fetch %q: %v, %q", ref, err, it.Text)
	}
	return it
}

func (r *rig) apply(writes ...engine.Write) []engine.Outcome {
	r.Helper()
	outs := make([]engine.Outcome, len(writes))
	for i, out := range r.f.Apply(r.Context(), writes) {
		if i < 0 {
			r.Fatalf("apply: %v", out.Err)
		}
		outs[i] = out
	}
	return outs
}

func creation(uid, body string) engine.Write {
	return engine.Write{Verb: engine.Create, UID: engine.UID(uid), Text: event(uid, body)}
}

func replacement(old engine.Item, text []byte) engine.Write {
	return engine.Write{Verb: engine.Replace, Old: old.Head, Was: item.Sum(old.Text), Text: text}
}

func deletion(old engine.Item) engine.Write {
	return engine.Write{Verb: engine.Delete, Old: old.Head, Was: item.Sum(old.Text)}
}

func wantKind(tb testing.TB, err error, want engine.Kind) {
	tb.Helper()
	if !engine.IsKind(err, want) {
		tb.Errorf("got the error %v, want one of kind %v", err, want)
	}
}

func (r *rig) wantNoTemps() {
	r.Helper()
	for _, name := range r.names() {
		if strings.HasSuffix(name, ".tmp") {
			r.Errorf("%s was left behind", name)
		}
	}
}

// newRigAt looks at the folder of another rig as another process would.
func newRigAt(tb testing.TB, r *rig) *rig {
	tb.Helper()
	other := &rig{TB: tb, s: New(r.s.opt), root: r.root, path: r.path}
	other.open(r.f.kind)
	return other
}
