//go:build real

package blackbox_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/storage/memory"
)

// A world with every kind of trouble, and what a person reads who asks for it.
// testdata/troubles.txt holds every word; DAVBUS_GOLDEN=write writes it anew, to be
// read before it is believed.
func TestEveryTroubleReadsWell(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	h := newHouse(t, "home")
	w := &troubles{house: h, server: srv, work: srv.Calendar("cal")}
	h.config("accounts/work.yaml", "kind: dav\nurl: "+srv.URL+"/\n")
	h.config("accounts/local.yaml", "kind: vdir\npath: ~/pim\n")
	h.config("groups/home.yaml", "members: [work, local]\ninterval-sec: 0\n")
	for n := range 16 {
		w.put(fmt.Sprintf("day-%02d", n), entry(fmt.Sprintf("day-%02d", n), fmt.Sprint("Day ", n)))
	}
	w.put("lunch", entry("lunch", "Lunch"))
	w.put("dinner", entry("dinner", "Dinner"))
	h.start()
	h.pause()
	w.types("sync home")
	w.begin()
	w.types("sync home", "problems", "conflicts", "held", "why lunch", "why local/cal dinner", "why nobody", "versions work/cal", "log")
	// And what a person does about it.
	w.types("repair local/cal --dry-run", "repair local/cal")
	for _, name := range []string{"inner", "forbidden"} {
		h.must(os.Remove(filepath.Join(h.Dir, "pim/cal", name+".ics")))
	}
	w.types("resolve c1 member:work/cal", "held --restore home", "undo 2 --dry-run", "undo 2", "restore work/cal dinner.ics 1",
		"restore work/cal dinner.ics 99", "undo 99", "undo 1", "log -n 0", "versions work/cal -n 0", "resolve c9 newest", "sync home", "problems")
	h.compare("testdata/troubles.txt", w.told.String())
}

// pause keeps the daemon from syncing by itself when it sees a folder change.
func (h *house) pause() {
	h.Helper()
	h.Setenv("DBUS_SESSION_BUS_ADDRESS", h.bus.Address)
	c, err := client.Dial(h.Context())
	h.must(err)
	defer c.Close()
	h.must(c.Call(h.Context(), client.Root, client.Name+".Manager.Pause", []any{uint32(3600), map[string]dbus.Variant{}}))
}

type troubles struct {
	*house
	server *davtest.Server
	work   *memory.Storage
	told   strings.Builder
}

func (w *troubles) put(name, text string) { w.file("pim/cal/"+name+".ics", text) }

// types runs commands as a person types them, and keeps what they say.
func (w *troubles) types(commands ...string) {
	w.Helper()
	for _, command := range commands {
		out, errs, code := w.davbus(strings.Fields(command)...)
		fmt.Fprintf(&w.told, "$ davbus %s\n%s%s", command, inOrder(out), withoutPhases(errs))
		if code != 0 {
			fmt.Fprintf(&w.told, "[exit %d]\n", code)
		}
		w.told.WriteString("\n")
	}
}

// begin makes the troubles: an item changed in two ways, deletions too many, and
// items that are none, or not for that server.
func (w *troubles) begin() {
	w.put("lunch", entry("lunch", "Lunch with Ann"))
	w.work.Put("lunch.ics", []byte(entry("lunch", "Lunch with Bob")))
	for n := range 12 {
		w.work.Remove(engine.Ref(fmt.Sprintf("day-%02d.ics", n)))
	}
	w.put("dinner", entry("dinner", "Dinner at eight"))
	w.put("twin-a", entry("twin", "Twin"))
	w.put("twin-b", entry("twin", "Twin"))
	w.put("nameless", strings.Replace(entry("x", "Nameless"), "UID:x\r\n", "", 1))
	w.put("inner", strings.Replace(entry("inner", "Inner"), "VERSION", "BEGIN:VCALENDAR\r\nVERSION", 1)+"END:VCALENDAR\r\n")
	w.put("forbidden", entry("forbidden", "Forbidden"))
	w.server.When(-1, func(r davtest.Request) bool {
		return r.Method == "PUT" && strings.Contains(r.Path, "forbidden")
	}, davtest.Status(403))
}

func entry(uid, summary string) string {
	return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//test\r\nBEGIN:VEVENT\r\nUID:" + uid +
		"\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nSUMMARY:" + summary + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
}

// withoutPhases leaves out of what went to standard error how a job came on.
func withoutPhases(errs string) string {
	return regexp.MustCompile(`(?m)^(list|fetch|compare|write|finish|connect|wait)\n`).ReplaceAllString(errs, "")
}

// inOrder sorts what is told of items, which members do side by side.
func inOrder(out string) string {
	lines := strings.SplitAfter(out, "\n")
	told := regexp.MustCompile(`^(add|modify|remove|merge|conflict|hold|fail) +\S+ `)
	for i := 0; i < len(lines); i++ {
		j := i
		for j < len(lines) && told.MatchString(lines[j]) {
			j++
		}
		slices.Sort(lines[i:j])
		i = max(i, j-1)
	}
	return strings.Join(lines, "")
}

// What differs from run to run.
var unsteady = []struct {
	is  *regexp.Regexp
	now string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`\d+ s ago`), "now"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d| UTC)?`), "TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\b`), "TIME"},
	{regexp.MustCompile(`\b[A-Z2-7]{26}\b`), "NEW-UID"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "HASH"},
	{regexp.MustCompile(` {2,}`), "  "},
	{regexp.MustCompile(`(?m) +$`), ""},
}

func (h *house) compare(file, got string) {
	h.Helper()
	got = strings.ReplaceAll(got, h.Dir, "~")
	for _, u := range unsteady {
		got = u.is.ReplaceAllString(got, u.now)
	}
	if os.Getenv("DAVBUS_GOLDEN") == "write" {
		h.must(os.MkdirAll(filepath.Dir(file), 0o755))
		h.must(os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	h.must(err)
	if got == string(want) {
		return
	}
	a, b := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			h.Fatalf("line %d of %s differs; all that was said:\n%s", i+1, file, got)
		}
	}
}
