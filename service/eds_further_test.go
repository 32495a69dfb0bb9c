//go:build real && further

package service

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/plugin/check"
)

// evolution does what a person does in Evolution.
func (d *rig) evolution(args ...string) string {
	d.Helper()
	out, err := exec.CommandContext(d.Context(), "/usr/bin/python3", append([]string{"testdata/eds.py"}, args...)...).Output()
	if err != nil {
		stderr := ""
		if e, ok := err.(*exec.ExitError); ok {
			stderr = string(e.Stderr)
		}
		d.Fatalf("eds.py %v: %v\n%s\n%s", args, err, stderr, d.log.String())
	}
	return strings.TrimSpace(string(out))
}

// The real Evolution Data Server, without a desktop, is a member like any other:
// what is added, edited and removed on either side reaches the other.
func TestFurtherEvolutionsCalendarTasksAndContactsStayInStepWithFolders(t *testing.T) {
	d := home(t, "/usr/share/dbus-1/services")
	d.installPlugin("eds")
	task := strings.NewReplacer("VEVENT", "VTODO")
	card := func(uid, name string) string {
		return "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:" + uid + "\r\nFN:" + name + "\r\nN:" + name + ";;;;\r\nX-OWN:kept\r\nEND:VCARD\r\n"
	}
	text := map[string]func(uid, name string) string{
		"cal.ics": vevent, "tasks.ics": func(uid, name string) string { return task.Replace(vevent(uid, name)) }, "book.vcf": card,
	}
	d.start()
	d.account("eds", "plugin:eds")
	d.account("local", "vdir", "path", filepath.Join(d.Dir, "pim"))
	sources := map[string]string{"cal": "system-calendar", "tasks": "system-task-list", "book": "system-address-book"}
	for what, source := range sources {
		d.evolution("add", what, what+"-eds", "From Evolution")
		ext := map[bool]string{true: "book.vcf", false: what + ".ics"}[what == "book"]
		d.write(filepath.Join("pim", what, "mine."+strings.TrimPrefix(filepath.Ext(ext), ".")), text[ext](what+"-mine", "From here"))
		_, err := d.c.AddGroup(t.Context(), what, []string{"eds/" + source, "local/" + what}, client.Options{"interval-sec": uint32(0)})
		d.must(err)
	}
	check := func(when, want string) {
		t.Helper()
		for what := range sources {
			d.sync(what, "success")
			if got := d.evolution("list", what); got != want {
				t.Errorf("%s: in Evolution's %s: %s; want %s", when, what, got, want)
			}
			if got := d.named("pim/" + what); got != want {
				t.Errorf("%s: in the folder %s: %s; want %s", when, what, got, want)
			}
		}
	}
	check("after the first sync", "From Evolution, From here")
	for what := range sources {
		report := d.sync(what, "success")
		if n := report.Int("added") + report.Int("modified") + report.Int("removed"); n != 0 {
			t.Errorf("%s at rest: %d things were done", what, n)
		}
	}

	for what := range sources {
		d.evolution("edit", what, what+"-mine", "Edited in Evolution")
		d.evolution("delete", what, what+"-eds")
	}
	check("after edits in Evolution", "Edited in Evolution")
	for what := range sources {
		name, err := filepath.Glob(filepath.Join(d.Dir, "pim", what, "mine.*"))
		d.must(err)
		kept, err := os.ReadFile(name[0])
		d.must(err)
		if what == "book" && !strings.Contains(string(kept), "X-OWN:kept") {
			t.Errorf("an edit in Evolution lost what it does not know:\n%s", kept)
		}
		edited := strings.ReplaceAll(string(kept), "Edited in Evolution", "Edited here")
		d.must(os.WriteFile(name[0], []byte(edited), 0o600))
	}
	check("after edits here", "Edited here")
	for what := range sources {
		name, err := filepath.Glob(filepath.Join(d.Dir, "pim", what, "mine.*"))
		d.must(err)
		d.must(os.Remove(name[0]))
		d.evolution("add", what, what+"-last", "The last")
	}
	check("after a deletion here", "The last")

	// From here on nobody asks for a sync: the plugin tells that something moved.
	told := func(when, want string) {
		t.Helper()
		for what := range sources {
			d.until(when+", in the folder "+what, func() bool { return d.named("pim/"+what) == want })
		}
	}
	for what := range sources {
		d.evolution("edit", what, what+"-last", "Edited and told")
	}
	told("an edit in Evolution is told", "Edited and told")
	for what := range sources {
		d.evolution("add", what, what+"-told", "Told")
	}
	told("a new item in Evolution is told", "Edited and told, Told")
	for what := range sources {
		d.evolution("delete", what, what+"-told")
	}
	told("a deletion in Evolution is told", "Edited and told")
	// What davbus writes itself is not told back to it: it comes to rest.
	for what := range sources {
		name, err := filepath.Glob(filepath.Join(d.Dir, "pim", what, "*.*"))
		d.must(err)
		d.must(os.WriteFile(name[0], []byte(strings.ReplaceAll(d.read(filepath.Join("pim", what, filepath.Base(name[0]))), "and told", "here again")), 0o600))
	}
	check("after a last edit here", "Edited here again")
	for what := range sources {
		before := d.sync(what, "success")
		if n := before.Int("added") + before.Int("modified") + before.Int("removed"); n != 0 {
			t.Errorf("%s at rest: %d things were done", what, n)
		}
	}
}

// named are the names of the items in a folder.
func (d *rig) named(folder string) string {
	d.Helper()
	names, err := filepath.Glob(filepath.Join(d.Dir, folder, "*.*"))
	d.must(err)
	var all []string
	for _, name := range names {
		text, err := os.ReadFile(name)
		d.must(err)
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && (name == "FN" || name == "SUMMARY") {
				all = append(all, value)
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func TestFurtherTheEvolutionPluginKeepsEveryRule(t *testing.T) {
	d := home(t, "/usr/share/dbus-1/services")
	program, err := filepath.Abs("../data/plugins/davbus-eds")
	d.must(err)
	var out strings.Builder
	if n := check.Run(t.Context(), check.Options{Argv: []string{program}, Timeout: 30 * time.Second, Env: os.Environ()}, &out); n > 0 {
		t.Errorf("%d rules are broken:\n%s", n, out.String())
	}
}
