package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"davbus.org/davbus/engine"
)

func specs(kind string) ([]engine.ParamSpec, bool) {
	switch kind {
	case "dav":
		return []engine.ParamSpec{
			{Name: "url", Signature: "s", Required: true}, {Name: "username", Signature: "s"}, {Name: "password", Signature: "s", Secret: true},
			{Name: "password-command", Signature: "as", Command: true}, {Name: "auth", Signature: "s", Choices: []string{"auto", "basic"}},
			{Name: "interval-sec", Signature: "u"}, {Name: "read-only", Signature: "b"}, {Name: "collections", Signature: "as"},
		}, true
	case "vdir":
		return []engine.ParamSpec{{Name: "path", Signature: "s", Required: true}, {Name: "kind", Signature: "s", Choices: []string{"calendar", "addressbook"}}}, true
	}
	return nil, false
}

// folder makes a configuration folder with files by name.
func folder(t *testing.T, files map[string]string) *Folder {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	return Open(dir, specs)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, f *Folder) Config {
	t.Helper()
	c, err := f.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func content(t *testing.T, f *Folder, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(f.Path(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestFilesSayWhatPeopleMean(t *testing.T) {
	c := load(t, folder(t, map[string]string{
		"davbus.yaml":           "log-level: debug # for now\nidle-exit-sec: 0\ncontent-apps: [org.gnome.Calendar]\n",
		"accounts/work.yaml":    "# my work\nkind: dav\nurl: https://dav.example.org/\nusername: 00123\npassword-command:\n  - pass\n  - show # this\n  - \"d a v\"\ninterval-sec: 300\nenabled: false\n",
		"accounts/local.yaml":   "kind: vdir\npath: ~/pim\ncollection-kind: calendar\n",
		"accounts/.hidden.yaml": "nonsense",
		"accounts/notes.txt":    "nonsense",
		"groups/home.yaml":      "members: [work, local]\ncreate-missing: [local]\nhold-items: 3\n",
	}))
	home := engine.DefaultGroup()
	home.ID, home.Members, home.CreateMissing, home.HoldItems = "home", []string{"work", "local"}, []string{"local"}, 3
	want := Config{
		Daemon: Daemon{LogLevel: "debug", IntroductionSocket: true, ContentApps: []string{"org.gnome.Calendar"}},
		Accounts: []engine.AccountConfig{
			{ID: "local", Kind: "vdir", Enabled: true, Params: engine.Params{"path": "~/pim", "kind": "calendar"}},
			{ID: "work", Kind: "dav", Params: engine.Params{"url": "https://dav.example.org/", "username": "00123",
				"password-command": []string{"pass", "show", "d a v"}, "interval-sec": uint32(300)}},
		},
		Groups: []engine.GroupConfig{home},
	}
	c.files = nil
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(Config{})); diff != "" {
		t.Error(diff)
	}
}

func TestScenario83EveryFaultNamesFileLineAndColumn(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"accounts/a.yaml", "kind: dav\nurl: x\nusrname: me\n", `a.yaml:3:1: invalid configuration: there is no key "usrname" here; there are: kind, display-name`},
		{"accounts/a.yaml", "kind: dav\nurl: x\ninterval-sec: soon\n", `a.yaml:3:15: invalid configuration: "interval-sec" is a whole number`},
		{"accounts/a.yaml", "kind: dav\nurl: x\ninterval-sec: -1\n", `a.yaml:3:15:`},
		{"accounts/a.yaml", "kind: dav\nurl: x\ninterval-sec: 4294967296\n", `a.yaml:3:15:`},
		{"accounts/a.yaml", "kind: dav\nurl: x\nread-only: yes\n", `a.yaml:3:12: invalid configuration: "read-only" is true or false`},
		{"accounts/a.yaml", "kind: dav\nurl: x\ncollections: home\n", `"collections" is a list`},
		{"accounts/a.yaml", "kind: dav\nurl: x\ncollections: [a, [b]]\n", `a.yaml:3:18:`},
		{"accounts/a.yaml", "kind: dav\nurl:\n", `"url" is a text`},
		{"accounts/a.yaml", "kind: dav\n", `a.yaml:1:1: invalid configuration: the key "url" is missing`},
		{"accounts/a.yaml", "url: x\n", `the key "kind" is missing`},
		{"accounts/a.yaml", "kind: caldav\n", `a.yaml:1:7: invalid configuration: there is no account kind "caldav"`},
		{"accounts/a.yaml", "kind: dav\nurl: x\nauth: none\n", `a.yaml:3:7: invalid configuration: "auth" is one of auto, basic, not "none"`},
		{"accounts/a.yaml", "kind: dav\nurl: x\nurl: y\n", `a.yaml:3:1:`},
		{"accounts/a.yaml", "kind: dav\nurl: [x\n", `a.yaml:2:`},
		{"accounts/a.yaml", "- kind\n", `a.yaml:1:1: invalid configuration: a file holds lines of the form`},
		{"accounts/a.yaml", "kind: vdir\npath: x\n---\nkind: vdir\n", `one document`},
		{"groups/g.yaml", "member: [a, b]\n", `g.yaml:1:1: invalid configuration: there is no key "member" here; there are: members`},
		{"groups/g.yaml", "enabled: true\n", `the key "members" is missing`},
		{"davbus.yaml", "log-level: loud\n", `davbus.yaml:1:12: invalid configuration: log-level is`},
	} {
		f := folder(t, map[string]string{c.name: c.text})
		if _, err := f.Read(); err == nil || !strings.Contains(err.Error(), c.want) || !engine.IsKind(err, engine.InvalidConfig) {
			t.Errorf("%q:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestASecretInAFileIsRefusedAndNotRepeated(t *testing.T) {
	for _, text := range []string{"kind: dav\nurl: x\npassword: hunter2\n", "kind: dav\nurl: x\npassword: 'hunter2\n"} {
		c := load(t, folder(t, map[string]string{"accounts/a.yaml": text}))
		err := c.Accounts[0].Invalid
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestABadFileSpoilsOnlyItsOwnAccount(t *testing.T) {
	f := folder(t, map[string]string{
		"accounts/bad.yaml": "kind: dav\n", "accounts/good.yaml": "kind: vdir\npath: x\n", "groups/bad.yaml": "members: [a,b]\n", "davbus.yaml": "nonsense: 1\n",
	})
	c := load(t, f)
	if c.Accounts[0].Invalid == nil || c.Accounts[1].Invalid != nil || c.Daemon.Invalid == nil || c.Daemon.LogLevel != "info" {
		t.Errorf("got %+v", c)
	}
	if err := c.Groups[0].Invalid; err == nil || !strings.Contains(err.Error(), "share one name space") {
		t.Errorf("a group with the id of an account: %v", err)
	}
}

func TestReloadIsAllOrNothingOverTheFilesThatChanged(t *testing.T) {
	f := folder(t, map[string]string{"accounts/old.yaml": "kind: broken\n", "accounts/a.yaml": "kind: vdir\npath: x\n"})
	load(t, f)
	write(t, filepath.Join(f.Path(), "accounts/a.yaml"), "kind: vdir\npath: y\n")
	c, err := f.Read()
	if err != nil {
		t.Fatalf("a file that was bad before and did not change stopped the others: %v", err)
	}
	if c.Accounts[0].Params["path"] != "y" || c.Accounts[1].Invalid == nil {
		t.Errorf("got %+v", c.Accounts)
	}
	write(t, filepath.Join(f.Path(), "accounts/b.yaml"), "kind: vdir\npth: y\n")
	if _, err := f.Read(); err == nil || !strings.Contains(err.Error(), "b.yaml:2:1") {
		t.Errorf("a new bad file: %v", err)
	}
	if !f.Changed() {
		t.Error("files changed and nothing was accepted, yet Changed is false")
	}
	if err := os.Remove(filepath.Join(f.Path(), "accounts/b.yaml")); err != nil {
		t.Fatal(err)
	}
	if c, err = f.Read(); err != nil {
		t.Fatal(err)
	}
	f.Accept(c)
	if f.Changed() {
		t.Error("everything was accepted, yet Changed is true")
	}
}

// FuzzEdit: no file makes the editor panic, and what it writes says what was
// wanted or is refused.
