package vdir

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"go.uber.org/goleak"
)

// A watched rig is told of what moves.
type watched struct {
	*rig
	told chan string
}

const patience = 30 * time.Second

func watchRig(t *testing.T) *watched {
	t.Helper()
	w := &watched{newRig(t, engine.Calendar), make(chan string, 4096)}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.s.Watch(ctx, func(where string) { w.told <- where }); err != context.Canceled {
			t.Errorf("watch ended with %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		goleak.VerifyNone(t)
	})
	w.want(t, "")     // the root
	w.want(t, w.path) // the folder: watched from here on
	w.open(engine.Calendar)
	return w
}

// open keeps the source, whose own writes are known.
func (w *watched) open(kind string) {
	w.Helper()
	opened, err := w.s.Open(engine.Collection{Name: "home", Kind: kind, Identity: w.f.ident})
	if err != nil {
		w.Fatal(err)
	}
	w.f = opened.(*Folder)
}

// want waits until a place is told; what is told before is let pass.
func (w *watched) want(t *testing.T, where string) {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case got := <-w.told:
			if got == where {
				return
			}
		case <-limit:
			t.Fatalf("%q was not told", where)
		}
	}
}

// quietUntil makes a mark that must be told, and demands that nothing else was
// told before it.
func (w *watched) quietUntil(t *testing.T) {
	t.Helper()
	mark := filepath.Join(w.root, "mark")
	if err := os.Mkdir(mark, 0o700); err != nil {
		t.Fatal(err)
	}
	limit := time.After(patience)
	select {
	case got := <-w.told:
		if got != mark {
			t.Errorf("%q was told", got)
		}
	case <-limit:
		t.Fatal("the mark was not told")
	}
	os.Remove(mark)
	w.want(t, mark)
}

func TestEveryEditIsTold(t *testing.T) {
	w := watchRig(t)
	for name, edit := range map[string]func(){
		"a new file":         func() { w.put("a.ics", event("a", "one")) },
		"written in place":   func() { w.put("a.ics", event("a", "two")) },
		"renamed over":       func() { w.swap("a.ics", event("a", "three")) },
		"renamed":            func() { os.Rename(w.file("a.ics"), w.file("b.ics")) },
		"metadata":           func() { w.put("color", []byte("#112233")) },
		"a file of the kind": func() { w.put("c.vcf", nil) },
	} {
		if name == "renamed" {
			w.put("a.ics", event("a", "four"))
		}
		edit()
		w.want(t, w.path)
		t.Log(name)
	}
	os.Remove(w.file("color"))
	w.want(t, w.path)
}

func TestFoldersThatComeAndGoAreToldAndWatched(t *testing.T) {
	w := watchRig(t)
	other := filepath.Join(w.root, "other")
	for range 2 {
		if err := os.Mkdir(other, 0o700); err != nil {
			t.Fatal(err)
		}
		w.want(t, other)
		if err := os.WriteFile(filepath.Join(other, "a.ics"), event("a", "one"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.want(t, other)
		if err := os.RemoveAll(other); err != nil {
			t.Fatal(err)
		}
		w.want(t, other)
	}
	if err := firstError(os.Rename(w.path, w.path+"2"), os.Mkdir(w.path, 0o700)); err != nil {
		t.Fatal(err)
	}
	w.want(t, w.path)
	w.want(t, w.path)
	w.put("a.ics", event("a", "one"))
	w.want(t, w.path)
}

func TestWhatIsNoItemIsNotTold(t *testing.T) {
	w := watchRig(t)
	for _, name := range []string{".hidden.ics", "x.tmp", "a.ics~", "notes.txt", ".davbus-x.new.tmp", "4913"} {
		w.put(name, []byte("x"))
	}
	w.mustList()
	w.quietUntil(t)
}

func (w *watched) mustList() { w.list() }

func TestOurOwnWritesAreNotTold(t *testing.T) {
	w := watchRig(t)
	w.apply(creation("a", "one"), creation("b", "one"), creation("c", "one"))
	w.apply(replacement(w.mustFetch("a.ics"), event("a", "two")), deletion(w.mustFetch("b.ics")))
	w.apply(replacement(w.mustFetch("a.ics"), event("a", "three")))
	if err := w.f.SetMeta(t.Context(), engine.MetaColor, "#112233", true); err != nil {
		t.Fatal(err)
	}
	w.quietUntil(t)

	w.put("a.ics", event("a", "four"))
	w.want(t, w.path)
}

func TestAnEditDuringOurWriteIsTold(t *testing.T) {
	w := watchRig(t)
	w.apply(creation("a", "one"))
	for _, op := range []string{"exchange", "sync folder"} {
		w.f.step = func(o, name string) error {
			if o == op {
				w.swap("a.ics", event("a", "saved"))
			}
			return nil
		}
		w.apply(replacement(w.mustFetch("a.ics"), event("a", op)))
		w.want(t, w.path)
	}
}

func TestAReportDuringAWriteThatFailsIsNotForgotten(t *testing.T) {
	for _, reported := range []bool{false, true} {
		var own ownWrites
		wake, end := own.watch()
		own.expect("/root/home/a.ics")
		if reported && !own.echo("/root/home/a.ics", stamp{}, nil) {
			t.Error("a report during a write is told at once: nearly all are its echo")
		}
		own.unwritten("/root/home/a.ics")
		if got := own.takeMoved(); len(got) == 1 != reported || len(wake) == 1 != reported {
			t.Errorf("reported %v: to look at is %q", reported, got)
		}
		if own.echo("/root/home/a.ics", stamp{}, nil) {
			t.Error("after the write a report is still taken for its echo")
		}
		end()
	}
}

// A write that fails must not be told: the run that follows would fail too, and
// so for ever.
func TestAFailedWriteIsNotTold(t *testing.T) {
	w := watchRig(t)
	w.apply(creation("a", "one"))
	for _, op := range []string{"create", "write", "sync", "exchange"} {
		w.f.step = func(o, name string) error {
			if o == op {
				return os.ErrPermission
			}
			return nil
		}
		for i, out := range w.f.Apply(t.Context(), []engine.Write{creation("b", "one"), replacement(w.mustFetch("a.ics"), event("a", "two"))}) {
			if out.Err == nil && i != 0 {
				t.Errorf("%s: write %d succeeded", op, i)
			}
		}
	}
	w.quietUntil(t)
}

func TestARootThatComesLaterIsWatched(t *testing.T) {
	root := filepath.Join(t.TempDir(), "later")
	s := New(Options{Path: root})
	w := &watch{s: s, touch: func(where string) { t.Errorf("%q was told of nothing", where) }, folders: map[string]string{}}
	if err := w.tend(); err != nil {
		t.Errorf("a root that is not there yet ends the watch: %v", err)
	}
}
