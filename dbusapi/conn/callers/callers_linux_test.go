package callers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A process is written as a folder of the kernel's, for a test.
type process struct {
	root    string // "" shares ours
	info    string // of Flatpak; "" if there is none
	exe     string
	noRoot  bool
	infoDir bool // the description is a folder: it cannot be read
}

func write(t *testing.T, proc, pid string, p process) {
	t.Helper()
	dir := filepath.Join(proc, pid)
	root := filepath.Join(proc, "theirs-"+pid)
	if p.root == "" {
		root = filepath.Join(proc, "ours")
	}
	for _, d := range []string{dir, root} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if !p.noRoot {
		if err := os.Symlink(root, filepath.Join(dir, "root")); err != nil {
			t.Fatal(err)
		}
	}
	if p.exe != "" {
		if err := os.Symlink(p.exe, filepath.Join(dir, "exe")); err != nil {
			t.Fatal(err)
		}
	}
	info := filepath.Join(root, ".flatpak-info")
	var err error
	switch {
	case p.infoDir:
		err = os.Symlink("/etc/passwd", info)
	case p.info != "":
		err = os.WriteFile(info, []byte(p.info), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestOnlyWhoIsProvedToBeOutsideIsOutside(t *testing.T) {
	const flatpak = "[Instance]\nname=wrong\n[Application]\n name = org.example.App \nruntime=x\n"
	for name, c := range map[string]struct {
		p    process
		want found
	}{
		"outside":              {process{exe: "/usr/bin/busctl"}, found{program: "busctl"}},
		"replaced executable":  {process{exe: "/usr/bin/gjs (deleted)"}, found{program: "gjs"}},
		"no executable":        {process{}, found{}},
		"Flatpak":              {process{root: "x", info: flatpak, exe: "/usr/bin/xdg-dbus-proxy"}, found{"xdg-dbus-proxy", "org.example.App", true}},
		"Flatpak, same root":   {process{info: flatpak}, found{"", "org.example.App", true}},
		"another root":         {process{root: "x", exe: "/snap/x"}, found{program: "x", sandboxed: true}},
		"unreadable info":      {process{infoDir: true}, found{sandboxed: true}},
		"unreadable root":      {process{noRoot: true, exe: "/bin/sh"}, found{program: "sh", sandboxed: true}},
		"info without a name":  {process{info: "[Application]\n"}, found{sandboxed: true}},
		"info with a bad name": {process{info: "[Application]\nname=a\x1bb\n"}, found{sandboxed: true}},
		"info with a long one": {process{info: "[Application]\nname=" + strings.Repeat("a", 256)}, found{sandboxed: true}},
	} {
		proc := t.TempDir()
		write(t, proc, "self", process{})
		write(t, proc, "77", c.p)
		if got := inspect(proc, 77); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
		if got := inspect(proc, 78); got != (found{sandboxed: true}) {
			t.Errorf("a process that is gone: %+v", got)
		}
		if got := inspect(proc, 0); got != (found{sandboxed: true}) {
			t.Errorf("no process: %+v", got)
		}
	}
}

func TestWeAreOutside(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/.flatpak-info"); err == nil {
		t.Log("this test runs in a Flatpak: it is in a sandbox itself")
		return
	}
	if got := inspect("/proc", os.Getpid()); got != (found{program: filepath.Base(exe)}) {
		t.Errorf("got %+v", got)
	}
}
