package vdir

import (
	"os"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine"
)

func TestMetadataIsReadWithoutWhiteSpaceAround(t *testing.T) {
	r := newRig(t, engine.Calendar)
	r.put("color", []byte(" #AABBCC\r\n"))
	r.put("description", []byte("two\nlines\n"))
	r.put("order", []byte(strings.Repeat("1", largestMeta+1)))
	if err := os.Symlink("/etc/hostname", r.file("displayname")); err != nil {
		t.Fatal(err)
	}
	m, err := r.f.Meta(t.Context())
	if err != nil || len(m) != 2 || m[engine.MetaColor] != "#AABBCC" || m[engine.MetaDescription] != "two\nlines" {
		t.Errorf("got %q, %v", m, err)
	}
}

func TestMetadataThatIsJustBeingWrittenIsNotUnset(t *testing.T) {
	r := newRig(t, engine.Calendar)
	r.put("color", nil)
	_, err := r.f.Meta(t.Context())
	wantKind(t, err, engine.Busy)

	old := time.Now().Add(-quiet - time.Second)
	if err := os.Chtimes(r.file("color"), old, old); err != nil {
		t.Fatal(err)
	}
	if m, err := r.f.Meta(t.Context()); err != nil || len(m) != 0 {
		t.Errorf("got %q, %v", m, err)
	}
}

func TestADisplayNameIsWrittenOnlyOnRequest(t *testing.T) {
	for _, write := range []bool{false, true} {
		r := newRig(t, engine.Calendar)
		r.s.opt.WriteName = write
		r.put("displayname", []byte("theirs"))
		err := r.f.SetMeta(t.Context(), engine.MetaName, "ours", true)
		want := "theirs"
		if write {
			want = "ours"
		} else {
			wantKind(t, err, engine.NotSupported)
		}
		if got := r.text("displayname"); got != want {
			t.Errorf("write %v: the file holds %q (%v)", write, got, err)
		}
		if m, _ := r.f.Meta(t.Context()); m[engine.MetaName] != want {
			t.Errorf("write %v: read %q", write, m)
		}
	}
}

func TestMetadataIsDurableAndReplacedInOneStep(t *testing.T) {
	var all []string
	r := newRig(t, engine.Calendar)
	r.put("color", []byte("#111111"))
	r.f.step = func(op, name string) error {
		all = append(all, op)
		if got := r.text("color"); op != "sync folder" && got != "#111111" {
			t.Errorf("before %s it holds %q", op, got)
		}
		return nil
	}
	if err := r.f.SetMeta(t.Context(), engine.MetaColor, "#222222", true); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(all, ", "); got != "create, write, sync, over, sync folder" || r.text("color") != "#222222" {
		t.Errorf("steps %s, and it holds %q", got, r.text("color"))
	}
	r.wantNoTemps()
}
