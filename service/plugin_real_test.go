//go:build real

package service

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"davbus.org/davbus/dbusapi/client"
)

// installPlugin puts a plugin of ours where davbusd finds it.
func (d *rig) installPlugin(id string) {
	d.Helper()
	program, err := filepath.Abs("../data/plugins/davbus-" + id)
	d.must(err)
	text, err := os.ReadFile("../data/plugins/" + id + ".yaml")
	d.must(err)
	folder := filepath.Join(d.Share, "davbus", "plugins")
	d.must(os.MkdirAll(folder, 0o700))
	described := strings.Replace(string(text), "[davbus-"+id+"]", "["+program+"]", 1)
	d.must(os.WriteFile(filepath.Join(folder, id+".yaml"), []byte(described), 0o600))
}

func (d *rig) read(path string) string {
	d.Helper()
	text, err := os.ReadFile(filepath.Join(d.Dir, path))
	d.must(err)
	return string(text)
}

// edit changes a file by hand.
func (d *rig) edit(path, from, to string) {
	d.Helper()
	text := d.read(path)
	if strings.Count(text, from) != 1 {
		d.Fatalf("%q stands %d times in %s:\n%s", from, strings.Count(text, from), path, text)
	}
	d.must(os.WriteFile(filepath.Join(d.Dir, path), []byte(strings.Replace(text, from, to, 1)), 0o600))
}

func TestATodoTxtFileIsKeptInStepWithAFolder(t *testing.T) {
	d := home(t)
	d.installPlugin("todotxt")
	d.write("todo.txt", "(A) Call Mum +family due:2026-12-01\nBuy milk\n")
	d.must(os.MkdirAll(filepath.Join(d.Dir, "pim", "tasks"), 0o700))
	d.start()
	d.account("todo", "plugin:todotxt", "path", filepath.Join(d.Dir, "todo.txt"))
	d.account("local", "vdir", "path", filepath.Join(d.Dir, "pim"), "kind", "calendar")
	_, err := d.c.AddGroup(t.Context(), "tasks", []string{"todo/todo", "local/tasks"}, client.Options{"interval-sec": uint32(0)})
	d.must(err)

	// The report says why everything was compared.
	if said := fmt.Sprint(d.sync("tasks", "success").Plain()["sets"]); !strings.Contains(said, "slow-reason:first sync") {
		t.Errorf("the report of the first sync: %s", said)
	}
	if got := d.files("pim/tasks"); !strings.Contains(got, "Call Mum") || !strings.Contains(got, "Buy milk") {
		t.Fatalf("in the folder: %s", got)
	}

	// An edit by hand in the file, a new task and an edit in the folder.
	d.edit("todo.txt", "Buy milk", "Buy oat milk")
	d.write("pim/tasks/new.ics", strings.NewReplacer("VEVENT", "VTODO", "DTSTART:20260102T100000Z\r\n", "").Replace(vevent("new", "Water the plants")))
	d.sync("tasks", "success")
	if got := d.files("pim/tasks"); !strings.Contains(got, "Buy oat milk") || strings.Contains(got, "Buy milk") {
		t.Errorf("in the folder: %s", got)
	}
	if got := d.read("todo.txt"); !strings.Contains(got, "Water the plants uid:new\n") || !strings.Contains(got, "(A) Call Mum +family due:2026-12-01 uid:") {
		t.Errorf("the file:\n%s", got)
	}

	// A task that is done in the file is done in the folder, a line that goes is gone.
	d.edit("todo.txt", "(A) Call Mum", "x 2026-11-24 (A) Call Mum")
	text := d.read("todo.txt")
	var kept []string
	for _, line := range strings.SplitAfter(text, "\n") {
		if !strings.Contains(line, "plants") {
			kept = append(kept, line)
		}
	}
	d.must(os.WriteFile(filepath.Join(d.Dir, "todo.txt"), []byte(strings.Join(kept, "")), 0o600))
	d.sync("tasks", "success")
	if got := d.files("pim/tasks"); strings.Contains(got, "plants") {
		t.Errorf("in the folder: %s", got)
	}
	done := 0
	names, err := filepath.Glob(filepath.Join(d.Dir, "pim", "tasks", "*.ics"))
	d.must(err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		d.must(err)
		if strings.Contains(string(text), "STATUS:COMPLETED") {
			done++
		}
	}
	if done != 1 {
		t.Errorf("%d tasks are done in the folder", done)
	}

	// At rest nothing is written.
	before := d.read("todo.txt")
	report := d.sync("tasks", "success")
	if n := report.Int("added") + report.Int("modified") + report.Int("removed"); n != 0 || d.read("todo.txt") != before {
		t.Errorf("a second sync did %d things", n)
	}
	if said := fmt.Sprint(report.Plain()["sets"]); strings.Contains(said, "slow-reason") {
		t.Errorf("the report of a sync of what moved: %s", said)
	}
}

// A plugin that is installed while davbusd runs is there after a reload.
func TestAPluginThatIsInstalledIsThereAfterAReload(t *testing.T) {
	d := home(t)
	d.start()
	if _, err := d.c.Parameters(t.Context(), "plugin:todotxt"); err == nil {
		t.Fatal("it is there already")
	}
	d.installPlugin("todotxt")
	if _, err := d.c.Reload(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	d.account("todo", "plugin:todotxt", "path", filepath.Join(d.Dir, "todo.txt"))
	d.pluginState("todotxt", "activatable")
}

func TestAPluginThatFailsHarmsNobodyElse(t *testing.T) {
	d := home(t)
	d.installPlugin("todotxt")
	d.write("a/cal/one.ics", vevent("one", "One"))
	d.start()
	d.account("broken", "plugin:todotxt", "path", filepath.Join(d.Dir, "todo.txt"), "command", []string{"/bin/false"})
	d.account("a", "vdir", "path", filepath.Join(d.Dir, "a"))
	d.account("b", "vdir", "path", filepath.Join(d.Dir, "b"))
	_, err := d.c.AddGroup(t.Context(), "both", []string{"a", "b", "broken"}, client.Options{"create-missing": []string{"b"}, "interval-sec": uint32(0)})
	d.must(err)
	report := d.sync("both", "partial")
	if got := d.files("b/cal"); got != "One" {
		t.Errorf("in the folder: %s", got)
	}
	if name := report.Str("error-name"); name != "org.davbus.Sync1.Error.PluginGone" {
		t.Errorf("the report says %q", name)
	}
}

func TestARestartForgetsHowOftenAPluginFailed(t *testing.T) {
	d := home(t)
	d.installPlugin("todotxt")
	d.write("todo.txt", "Buy milk\n")
	d.must(os.MkdirAll(filepath.Join(d.Dir, "pim", "tasks"), 0o700))
	d.write("faulty", "#!/bin/sh\nexit 1\n")
	program := filepath.Join(d.Dir, "faulty")
	d.must(os.Chmod(program, 0o700))
	d.start()
	d.account("local", "vdir", "path", filepath.Join(d.Dir, "pim"), "kind", "calendar")
	d.account("todo", "plugin:todotxt", "path", filepath.Join(d.Dir, "todo.txt"), "command", []string{program})
	_, err := d.c.AddGroup(t.Context(), "tasks", []string{"todo/todo", "local/tasks"}, client.Options{"interval-sec": uint32(0)})
	d.must(err)
	why := func() string { return d.sync("tasks", "failed").Str("error-message") }
	for range maxStrikes + 1 {
		why()
	}
	if got := why(); !strings.Contains(got, "davbus plugin restart") {
		t.Fatalf("after %d failures: %q", maxStrikes+1, got)
	}
	good, err := filepath.Abs("../data/plugins/davbus-todotxt")
	d.must(err)
	d.must(os.Remove(program))
	d.must(os.Symlink(good, program))
	if got := why(); !strings.Contains(got, "davbus plugin restart") {
		t.Fatalf("it is mended, and nobody asked for a restart: %q", got)
	}
	// What davbus plugin restart does.
	for _, on := range []bool{false, true} {
		d.must(d.c.Set(t.Context(), client.AccountPath("todo"), client.Name+".Account", "Enabled", on))
	}
	d.sync("tasks", "success")
	if got := d.files("pim/tasks"); !strings.Contains(got, "Buy milk") {
		t.Errorf("in the folder: %s", got)
	}
}

func TestWhatATodoTxtFileCannotKeepStaysInTheFolder(t *testing.T) {
	d := home(t)
	d.installPlugin("todotxt")
	d.write("todo.txt", "")
	rich := strings.NewReplacer("VEVENT", "VTODO", "DTSTART:20260102T100000Z\r\n", "DESCRIPTION:In the blue bag\r\nLOCATION:Cellar\r\nX-OWN:yes\r\n").Replace(vevent("rich", "Feed the cat"))
	if !strings.Contains(rich, "LOCATION:Cellar") {
		t.Fatalf("the item is not what it should be: %s", rich)
	}
	d.write("pim/tasks/rich.ics", rich)
	d.start()
	d.account("todo", "plugin:todotxt", "path", filepath.Join(d.Dir, "todo.txt"))
	d.account("local", "vdir", "path", filepath.Join(d.Dir, "pim"), "kind", "calendar")
	_, err := d.c.AddGroup(t.Context(), "tasks", []string{"todo/todo", "local/tasks"}, client.Options{"interval-sec": uint32(0)})
	d.must(err)
	d.sync("tasks", "success")
	if got := d.read("pim/tasks/rich.ics"); got != rich {
		t.Errorf("a first sync changed the folder:\n%s", got)
	}
	d.edit("todo.txt", "Feed the cat", "Feed both cats")
	d.sync("tasks", "success")
	want := strings.Replace(rich, "Feed the cat", "Feed both cats", 1)
	if got := d.read("pim/tasks/rich.ics"); got != want && !(strings.Contains(got, "Feed both cats") && strings.Contains(got, "DESCRIPTION:In the blue bag") && strings.Contains(got, "LOCATION:Cellar") && strings.Contains(got, "X-OWN:yes")) {
		t.Errorf("after an edit in the file:\n%s", got)
	}
	// And an edit of what the file does not know leaves the file alone.
	before := d.read("todo.txt")
	d.edit("pim/tasks/rich.ics", "Cellar", "Attic")
	d.sync("tasks", "success")
	d.sync("tasks", "success")
	if got := d.read("pim/tasks/rich.ics"); !strings.Contains(got, "LOCATION:Attic") || d.read("todo.txt") != before {
		t.Errorf("after an edit in the folder:\n%s\n%s", got, d.read("todo.txt"))
	}
}
