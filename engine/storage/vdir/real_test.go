//go:build real && linux

package vdir

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"davbus.org/davbus/engine"
	"golang.org/x/sys/unix"
)

const inside = "DAVBUS_VDIR_TEST_INSIDE"

// mounting runs the calling test once more, in a process that may mount.
func mounting(t *testing.T, f func()) {
	if os.Getenv(inside) != "" {
		if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
			t.Fatal(err)
		}
		f()
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in a process that may mount: %v\n%s", err, out)
	}
}

func mount(t *testing.T, path, options string) {
	t.Helper()
	if err := unix.Mount("tmpfs", path, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(path, unix.MNT_DETACH) })
}

func TestScenario60AFullDiskLeavesOnlyWholeItems(t *testing.T) {
	mounting(t, func() {
		for _, limit := range []string{"size=256k", "size=64m,nr_inodes=40"} {
			r := newRig(t, engine.Calendar)
			mount(t, r.root, limit)
			if err := os.Mkdir(r.path, 0o700); err != nil {
				t.Fatal(err)
			}
			r.open(engine.Calendar)
			text := func(i int) []byte { return event(fmt.Sprint("item-", i), strings.Repeat("x", 3000)) }
			var writes []engine.Write
			for i := range 200 {
				writes = append(writes, engine.Write{Verb: engine.Create, UID: engine.UID(fmt.Sprint("item-", i)), Text: text(i)})
			}
			full, made := 0, 0
			for i, out := range r.apply(writes...) {
				name := fmt.Sprint("item-", i, ".ics")
				if out.Err != nil {
					wantKind(t, out.Err, engine.QuotaExceeded)
					if got := r.text(name); got != "none" {
						t.Fatalf("%s was refused, yet holds %d bytes", name, len(got))
					}
					full++
					continue
				}
				if made++; r.text(name) != string(text(i)) {
					t.Fatalf("%s holds %q", name, r.text(name))
				}
			}
			if full == 0 || made == 0 || len(r.list()) != made {
				t.Fatalf("%s: %d refused, %d made, %d listed", limit, full, made, len(r.list()))
			}
			a := r.mustFetch("item-0.ics")
			larger := append(text(0)[:len(text(0))-len("END:VCALENDAR\r\n")], strings.Repeat("X-A:b\r\n", 50000)+"END:VCALENDAR\r\n"...)
			wantKind(t, r.apply(replacement(a, larger))[0].Err, engine.QuotaExceeded)
			if r.text("item-0.ics") != string(text(0)) {
				t.Error("a replacement that did not fit harmed the file")
			}
			r.wantNoTemps()
			if out := r.apply(deletion(a)); out[0].Err != nil {
				t.Error(out[0].Err)
			}
			if out := r.apply(creation("fits", "now")); out[0].Err != nil {
				t.Errorf("when there is space again: %v", out[0].Err)
			}
		}
	})
}

func TestAnUnmountedFolderIsNotAnEmptyOne(t *testing.T) {
	mounting(t, func() {
		for _, at := range []string{"root", "folder"} {
			r := newRig(t, engine.Calendar)
			path := r.path
			if at == "root" {
				path = r.root
			}
			mount(t, path, "")
			os.Mkdir(r.path, 0o700)
			r.put("a.ics", event("a", "one"))
			r.open(engine.Calendar)
			r.mustFetch("a.ics")
			if err := unix.Unmount(path, 0); err != nil {
				t.Fatal(err) // also if a call had left something open
			}
			r.wantAll(at+" unmounted", engine.CollectionGone)
		}
	})
}

func TestScenario60AReadOnlyFileSystemIsReadOnly(t *testing.T) {
	mounting(t, func() {
		r := newRig(t, engine.Calendar)
		mount(t, r.root, "")
		os.Mkdir(r.path, 0o700)
		r.put("a.ics", event("a", "one"))
		r.put(stagedName(7, 1), nil)
		r.open(engine.Calendar)
		if err := unix.Mount("", r.root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		found, err := r.s.Look(t.Context(), true)
		if err != nil || found[0].Writable {
			t.Errorf("%+v, %v", found, err)
		}
		a := r.mustFetch("a.ics")
		if len(r.list()) != 1 {
			t.Error("not listed")
		}
		for _, out := range r.f.Apply(t.Context(), []engine.Write{creation("b", "one"), deletion(a)}) {
			wantKind(t, out.Err, engine.ReadOnly)
		}
	})
}

// The inode numbers of an overlay come from elsewhere; its exchanges too.
func TestPromisesOnAnOverlay(t *testing.T) {
	mounting(t, func() {
		base := t.TempDir()
		mount(t, base, "")
		for _, d := range []string{"lower/home", "upper", "work", "root"} {
			if err := os.MkdirAll(base+"/"+d, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(base+"/lower/home/a.ics", event("a", "old"), 0o600); err != nil {
			t.Fatal(err)
		}
		options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", base)
		if err := unix.Mount("overlay", base+"/root", "overlay", 0, options); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(base+"/root", unix.MNT_DETACH) })
		r := &rig{TB: t, s: New(Options{Path: base + "/root"}), root: base + "/root", path: base + "/root/home"}
		r.open(engine.Calendar)
		a := r.mustFetch("a.ics")
		if out := r.apply(replacement(a, event("a", "new")), creation("b", "one"))[0]; out.Err != nil {
			t.Error(out.Err)
		}
		if r.text("a.ics") != string(event("a", "new")) {
			t.Errorf("it holds %q", r.text("a.ics"))
		}
		if out := r.apply(deletion(r.mustFetch("a.ics")))[0]; out.Err != nil {
			t.Error(out.Err)
		}
		if len(r.list()) != 1 {
			t.Errorf("listed %v", r.list())
		}
		r.wantNoTemps()
	})
}
