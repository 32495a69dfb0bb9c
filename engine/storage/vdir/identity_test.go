package vdir

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"davbus.org/davbus/engine"
)

// calls are all calls of a folder; each gives its error.
func (r *rig) calls() map[string]error {
	errs := map[string]error{}
	for _, err := range r.f.List(r.Context()) {
		errs["list"] = err
	}
	for it, err := range r.f.Fetch(r.Context(), []engine.Ref{"a.ics"}) {
		if it.Ref != "" {
			r.Errorf("fetch blames an item: %v", err)
		}
		errs["fetch"] = err
	}
	for i, out := range r.f.Apply(r.Context(), []engine.Write{creation("x", "one")}) {
		if i != -1 {
			r.Errorf("apply blames a write: %v", out.Err)
		}
		errs["apply"] = out.Err
	}
	_, errs["meta"] = r.f.Meta(r.Context())
	errs["set meta"] = r.f.SetMeta(r.Context(), engine.MetaColor, "#112233", true)
	return errs
}

func (r *rig) wantAll(when string, want engine.Kind) {
	r.Helper()
	for call, err := range r.calls() {
		if !engine.IsKind(err, want) {
			r.Errorf("%s: %s gives %v, want an error of kind %v", when, call, err, want)
		}
	}
}

func TestAFolderThatIsNotThereIsNeverAnEmptyOne(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(r *rig) error
		want engine.Kind
	}{
		{"the folder is removed", func(r *rig) error { return os.RemoveAll(r.path) }, engine.CollectionGone},
		{"the folder is moved away", func(r *rig) error { return os.Rename(r.path, r.path+"2") }, engine.CollectionGone},
		{"the folder is replaced by an empty one", func(r *rig) error {
			return firstError(os.RemoveAll(r.path), os.Mkdir(r.path, 0o700))
		}, engine.CollectionGone},
		{"the folder is replaced by a file", func(r *rig) error {
			return firstError(os.RemoveAll(r.path), os.WriteFile(r.path, nil, 0o600))
		}, engine.StorageError},
		{"the folder is replaced by a link to it", func(r *rig) error {
			return firstError(os.Rename(r.path, r.path+"2"), os.Symlink(r.path+"2", r.path))
		}, engine.StorageError},
		{"the root is removed", func(r *rig) error { return os.RemoveAll(r.root) }, engine.Offline},
		{"the root is moved away and made again", func(r *rig) error {
			return firstError(os.Rename(r.root, r.root+"2"), os.MkdirAll(r.path, 0o700))
		}, engine.CollectionGone},
		{"the root is a file", func(r *rig) error {
			return firstError(os.RemoveAll(r.root), os.WriteFile(r.root, nil, 0o600))
		}, engine.StorageError},
	} {
		r := newRig(t, engine.Calendar)
		r.put("a.ics", event("a", "one"))
		if err := c.do(r); err != nil {
			t.Fatal(c.name, err)
		}
		r.wantAll(c.name, c.want)
	}
}

func TestAFolderKeepsItsIdentityWhereverItIs(t *testing.T) {
	r := newRig(t, engine.Calendar)
	before, err := r.s.Look(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(r.root, moved); err != nil {
		t.Fatal(err)
	}
	after, err := New(Options{Path: moved}).Look(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if before[0].Identity != after[0].Identity {
		t.Errorf("%q became %q", before[0].Identity, after[0].Identity)
	}
	if other := newRig(t, engine.Calendar); other.f.ident == r.f.ident {
		t.Errorf("two folders have the identity %q", r.f.ident)
	}
}

// A file system gives a freed inode number to the next folder.
func TestAFolderWithTheInodeOfAnotherIsAnother(t *testing.T) {
	r := newRig(t, engine.Calendar)
	for range 20 {
		if err := firstError(os.RemoveAll(r.path), os.Mkdir(r.path, 0o700)); err != nil {
			t.Fatal(err)
		}
		r.wantAll("made again", engine.CollectionGone)
	}
}

func TestLookTellsWhatAFolderIs(t *testing.T) {
	r := newRig(t, engine.Calendar)
	for path, text := range map[string]string{
		"home/a.ics": string(event("a", "one")), "home/color": " #aabbcc\n", "home/displayname": "Home & more", "home/order": "3",
		"people/b.vcf": "x", "people/c.vcf": "x", "people/x.ics": "x",
		"both/b.vcf": "x", "both/x.ics": "x",
		"empty/notes.txt": "x", ".git/a.ics": "x", "file": "x",
	} {
		full := filepath.Join(r.root, path)
		if err := firstError(os.MkdirAll(filepath.Dir(full), 0o700), os.WriteFile(full, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("home", filepath.Join(r.root, "link")); err != nil {
		t.Fatal(err)
	}
	found, err := r.s.Look(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, c := range found {
		kinds[c.Name] = c.Kind
		if c.Folder != filepath.Join(r.root, c.Name) || c.Parent != filepath.Base(r.root) || !c.Writable || c.Identity == "" {
			t.Errorf("%+v", c)
		}
		if c.Name == "home" && (c.Meta[engine.MetaColor] != "#aabbcc" || c.Meta[engine.MetaName] != "Home & more" || len(c.Meta) != 3) {
			t.Errorf("metadata %v", c.Meta)
		}
	}
	want := map[string]string{"home": engine.Calendar, "people": engine.AddressBook, "both": engine.Calendar, "empty": ""}
	if len(kinds) != len(want) {
		t.Errorf("found %v", kinds)
	}
	for name, kind := range want {
		if kinds[name] != kind {
			t.Errorf("%s is of kind %q, want %q", name, kinds[name], kind)
		}
	}
	r.s.opt.Kind = engine.AddressBook
	found, _ = r.s.Look(t.Context(), false)
	if i := slices.IndexFunc(found, func(c engine.Collection) bool { return c.Name == "empty" }); found[i].Kind != engine.AddressBook {
		t.Errorf("a folder that does not tell is of kind %q", found[i].Kind)
	}
}

func TestARootThatIsNotThereIsNoAccountWithoutCollections(t *testing.T) {
	s := New(Options{Path: filepath.Join(t.TempDir(), "not-mounted")})
	_, err := s.Look(t.Context(), true)
	wantKind(t, err, engine.Offline)
	_, err = s.Make(t.Context(), engine.Collection{Name: "home"})
	wantKind(t, err, engine.Offline)
}

func TestWhatMayNotBeReadIsAProblemAndNotGone(t *testing.T) {
	r := newRig(t, engine.Calendar)
	r.put("a.ics", event("a", "one"))
	r.put("closed.ics", event("closed", "one"))
	if err := firstError(os.Chmod(r.path, 0o777), os.Chmod(r.file("a.ics"), 0o666), os.Chmod(r.file("closed.ics"), 0)); err != nil {
		t.Fatal(err)
	}
	asNobody(t, r.root, func() {
		if heads := r.list(); len(heads) != 2 {
			t.Errorf("listed %v", heads)
		}
		_, err := r.fetch("closed.ics")
		wantKind(t, err, engine.StorageError)
		r.mustFetch("a.ics")
	})

	other := filepath.Join(r.root, "closed")
	if err := os.Mkdir(other, 0); err != nil {
		t.Fatal(err)
	}
	asNobody(t, r.root, func() {
		found, err := r.s.Look(t.Context(), true)
		if err != nil || len(found) != 2 {
			t.Fatalf("found %v, %v: one closed folder hides the others", found, err)
		}
		closed, err := r.s.Open(found[0])
		if err != nil || found[0].Name != "closed" || found[0].Identity == "" {
			t.Fatalf("%+v, %v", found[0], err)
		}
		for _, err := range closed.List(t.Context()) {
			wantKind(t, err, engine.StorageError)
		}
	})
}

func TestAFolderThatMayNotBeWrittenIsReadOnly(t *testing.T) {
	r := newRig(t, engine.Calendar)
	r.put("a.ics", event("a", "one"))
	r.put(stagedName(7, 1), nil) // what cannot be removed is no hindrance
	if err := firstError(os.Chmod(r.path, 0o555), os.Chmod(r.file("a.ics"), 0o644)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(r.path, 0o700) })
	asNobody(t, r.root, func() {
		found, err := r.s.Look(t.Context(), true)
		if err != nil || found[0].Writable {
			t.Errorf("%+v, %v: said to be writable", found, err)
		}
		a := r.mustFetch("a.ics")
		if len(r.list()) != 1 {
			t.Errorf("listed %v", r.list())
		}
		var n int
		for _, out := range r.f.Apply(t.Context(), []engine.Write{creation("x", "one"), deletion(a), replacement(a, event("a", "two"))}) {
			wantKind(t, out.Err, engine.ReadOnly)
			n++
		}
		if n == 0 {
			t.Error("no outcome")
		}
		wantKind(t, r.f.SetMeta(t.Context(), engine.MetaColor, "#112233", true), engine.ReadOnly)
	})
	if r.text("a.ics") != string(event("a", "one")) {
		t.Errorf("the file became %q", r.text("a.ics"))
	}
}
