package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"davbus.org/davbus/engine"
)

const commented = `# What I use at work.

kind: dav   # CalDAV and CardDAV
url: "https://dav.example.org/"

# Me.
username: me # since 2019
# Asked for on Mondays.
password-command:
  - pass
  # the entry
  - show
interval-sec: 900

# The end.
`

func TestAChangeKeepsComments(t *testing.T) {
	f := folder(t, map[string]string{"accounts/work.yaml": commented})
	a := load(t, f).Accounts[0]
	a.Params["username"] = "you"
	a.Params["password-command"] = []string{"cat", "/run/a, b"}
	a.Params["read-only"] = true
	a.DisplayName = "Work: all"
	delete(a.Params, "interval-sec")
	if err := f.SaveAccount(a); err != nil {
		t.Fatal(err)
	}
	want := `# What I use at work.

kind: dav   # CalDAV and CardDAV
url: "https://dav.example.org/"

# Me.
username: you # since 2019
# Asked for on Mondays.
password-command: [cat, "/run/a, b"]

# The end.
display-name: "Work: all"
read-only: true
`
	if diff := cmp.Diff(want, content(t, f, "accounts/work.yaml")); diff != "" {
		t.Error(diff)
	}
	if again := load(t, f).Accounts[0]; !sameAccount(a, again) {
		t.Errorf("read back: %+v", again)
	}
}

func TestAChangeThatChangesNothingLeavesEveryByte(t *testing.T) {
	text := commented + "enabled: true"
	f := folder(t, map[string]string{"accounts/work.yaml": text})
	if err := f.SaveAccount(load(t, f).Accounts[0]); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSuffix(content(t, f, "accounts/work.yaml"), "\n"); got != text {
		t.Errorf("got %q", got)
	}
}

func TestAFileThatIsNotAsLoadedIsNotWritten(t *testing.T) {
	f := folder(t, map[string]string{"accounts/a.yaml": "kind: vdir\npath: x\n"})
	a := load(t, f).Accounts[0]
	path := filepath.Join(f.Path(), "accounts/a.yaml")
	write(t, path, "kind: vdir\npath: x # mine\n")
	a.Params["path"] = "y"
	if err := f.SaveAccount(a); !engine.IsKind(err, engine.InvalidConfig) || !strings.Contains(err.Error(), "reload first") {
		t.Errorf("save: %v", err)
	}
	if err := f.RemoveAccount("a"); !engine.IsKind(err, engine.InvalidConfig) {
		t.Errorf("remove: %v", err)
	}
	if got := content(t, f, "accounts/a.yaml"); got != "kind: vdir\npath: x # mine\n" {
		t.Errorf("it was written: %q", got)
	}
	write(t, filepath.Join(f.Path(), "groups/g.yaml"), "members: [a, b]\n")
	g := engine.DefaultGroup()
	g.ID = "g"
	if err := f.SaveGroup(g); !engine.IsKind(err, engine.InvalidConfig) {
		t.Errorf("a new group over a file that nobody loaded: %v", err)
	}
}

func TestALinkOrAFileWithoutWritePermissionIsManaged(t *testing.T) {
	f := folder(t, map[string]string{"accounts/ro.yaml": "kind: vdir\npath: x\n", "elsewhere/a.yaml": "kind: vdir\npath: x\n", "accounts/free.yaml": "kind: vdir\npath: x\n"})
	if err := os.Chmod(filepath.Join(f.Path(), "accounts/ro.yaml"), 0o444); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../elsewhere/a.yaml", filepath.Join(f.Path(), "accounts/link.yaml")); err != nil {
		t.Fatal(err)
	}
	for _, a := range load(t, f).Accounts {
		if want := a.ID != "free"; a.Managed != want || a.Invalid != nil {
			t.Errorf("%s: managed %v, invalid %v", a.ID, a.Managed, a.Invalid)
		}
		a.Params["path"] = "y"
		err := f.SaveAccount(a)
		if a.Managed != engine.IsKind(err, engine.Managed) {
			t.Errorf("%s: save: %v", a.ID, err)
		}
		if a.Managed && !engine.IsKind(f.RemoveAccount(a.ID), engine.Managed) {
			t.Errorf("%s was removed", a.ID)
		}
	}
}

func TestWhatCannotBeEditedIsRefusedNotRuined(t *testing.T) {
	for _, text := range []string{"{kind: vdir, path: x}\n", "---\n{kind: vdir,\n path: x}\n"} {
		f := folder(t, map[string]string{"accounts/a.yaml": text})
		a := load(t, f).Accounts[0]
		if a.Invalid != nil {
			t.Fatalf("%q: %v", text, a.Invalid)
		}
		a.Params["path"] = "y"
		if err := f.SaveAccount(a); !engine.IsKind(err, engine.InvalidConfig) {
			t.Errorf("%q: %v", text, err)
		}
		if got := content(t, f, "accounts/a.yaml"); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestWhatIsSavedIsReadBack(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"yes", "null", "~", "~/x", "0x10", "1.5", "# no", "a # b", "a: b", "- x", "[x", "'", "\"", "\\", "!tag", "&a", "*a", "line\nline", "\tx", " x ", "x:", "%h/pim", "https://h:1/p?q=1#f", "é", "\U0001F600", "\u2028",
	}))
	rapid.Check(t, func(rt *rapid.T) {
		f := Open(t.TempDir(), specs)
		start := ""
		if rapid.Bool().Draw(rt, "over a file") {
			start = commented
			write(t, filepath.Join(f.Path(), "accounts/a.yaml"), start)
		}
		if _, err := f.Load(); err != nil {
			rt.Fatal(err)
		}
		for range rapid.IntRange(1, 3).Draw(rt, "saves") {
			a := engine.AccountConfig{ID: "a", Kind: "dav", Enabled: rapid.Bool().Draw(rt, "enabled"), DisplayName: text.Draw(rt, "name"),
				Params: engine.Params{"url": text.Draw(rt, "url")}}
			if rapid.Bool().Draw(rt, "more") {
				a.Params["password-command"] = rapid.SliceOfN(text, 1, 4).Draw(rt, "command")
				a.Params["interval-sec"] = rapid.Uint32().Draw(rt, "interval")
				a.Params["read-only"] = rapid.Bool().Draw(rt, "ro")
			}
			if err := f.SaveAccount(a); err != nil {
				rt.Fatalf("save %+v: %v", a, err)
			}
			c, err := Open(f.Path(), specs).Load()
			if err != nil || !sameAccount(c.Accounts[0], a) || c.Accounts[0].Invalid != nil {
				rt.Fatalf("saved %+v\nread  %+v\n%v\n%s", a, c.Accounts, err, content(t, f, "accounts/a.yaml"))
			}
			for _, line := range strings.Split(start, "\n") {
				if strings.HasPrefix(line, "#") && !strings.Contains(content(t, f, "accounts/a.yaml"), line+"\n") {
					rt.Fatalf("the comment %q is gone:\n%s", line, content(t, f, "accounts/a.yaml"))
				}
			}
		}
	})
}

func TestAGroupIsSavedAndReadBack(t *testing.T) {
	f := folder(t, nil)
	load(t, f)
	g := engine.DefaultGroup()
	g.ID, g.Members, g.ConflictPolicy, g.HoldPercent = "home", []string{"a/x y", "b/ä"}, "member:a/x y", 0
	if err := f.SaveGroup(g); err != nil {
		t.Fatal(err)
	}
	g.Enabled, g.HoldPercent, g.CreateMissing = false, 20, []string{"b/ä"}
	if err := f.SaveGroup(g); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]engine.GroupConfig{g}, load(t, Open(f.Path(), specs)).Groups); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(content(t, f, "groups/home.yaml"), "hold-percent") {
		t.Error("a default that was not in the file was written")
	}
	if err := f.RemoveGroup("home"); err != nil {
		t.Fatal(err)
	}
	if c := load(t, Open(f.Path(), specs)); len(c.Groups) != 0 {
		t.Error("the group is still there")
	}
}

func FuzzEdit(f *testing.F) {
	f.Add(commented, "x")
	f.Add("kind: vdir\npath: |\n  a\n  # b\n\n", "y")
	f.Add("kind: dav\r\nurl: x # c\r\n", "# z")
	f.Add("kind: dav\n? url\n: x\n", "w")
	f.Fuzz(func(t *testing.T, text, url string) {
		folder := Open(t.TempDir(), specs)
		write(t, filepath.Join(folder.Path(), "accounts/a.yaml"), text)
		c, err := folder.Load()
		if err != nil || c.Accounts[0].Invalid != nil || c.Accounts[0].Kind != "dav" {
			return
		}
		a := c.Accounts[0]
		a.Params["url"] = url
		if folder.SaveAccount(a) != nil {
			if got := content(t, folder, "accounts/a.yaml"); got != text {
				t.Errorf("it was refused and yet written: %q", got)
			}
			return
		}
		if c, err = Open(folder.Path(), specs).Load(); err != nil || c.Accounts[0].Params["url"] != url {
			t.Errorf("%q with %q became %q: %+v", text, url, content(t, folder, "accounts/a.yaml"), c.Accounts)
		}
	})
}
