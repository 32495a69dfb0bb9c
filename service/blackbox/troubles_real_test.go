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

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
)

// A world with every kind of trouble, and what a person reads who asks for it.
// testdata/troubles.txt holds every word; DAVBUS_GOLDEN=write writes it anew, to be
// read before it is believed.
func TestEveryTroubleReadsWell(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	work := srv.Calendar("cal")
	h := newHouse(t, "home")
	h.config("accounts/work.yaml", "kind: dav\nurl: "+srv.URL+"/\n")
	h.config("accounts/local.yaml", "kind: vdir\npath: ~/pim\n")
	h.config("groups/home.yaml", "members: [work, local]\ninterval-sec: 0\n")
	put := func(name, text string) { h.file("pim/cal/"+name+".ics", text) }
	for n := range 16 {
		put(fmt.Sprintf("day-%02d", n), entry(fmt.Sprintf("day-%02d", n), fmt.Sprint("Day ", n)))
	}
	put("lunch", entry("lunch", "Lunch"))
	put("dinner", entry("dinner", "Dinner"))
	h.start()
	var told strings.Builder
	type_ := func(args ...string) {
		out, errs, code := h.davbus(args...)
		fmt.Fprintf(&told, "$ davbus %s\n%s%s", strings.Join(args, " "), inOrder(out), withoutPhases(errs))
		if code != 0 {
			fmt.Fprintf(&told, "[exit %d]\n", code)
		}
		told.WriteString("\n")
	}
	type_("sync", "home")

	// The same item in two ways, a deletion too many, and items that are none.
	put("lunch", entry("lunch", "Lunch with Ann"))
	work.Put("lunch.ics", []byte(entry("lunch", "Lunch with Bob")))
	for n := range 12 {
		work.Remove(engine.Ref(fmt.Sprintf("day-%02d.ics", n)))
	}
	put("dinner", entry("dinner", "Dinner at eight"))
	put("twin-a", entry("twin", "Twin"))
	put("twin-b", entry("twin", "Twin"))
	put("nameless", strings.Replace(entry("x", "Nameless"), "UID:x\r\n", "", 1))
	put("inner", strings.Replace(entry("inner", "Inner"), "VERSION", "BEGIN:VCALENDAR\r\nVERSION", 1)+"END:VCALENDAR\r\n")
	put("forbidden", entry("forbidden", "Forbidden"))
	srv.When(-1, func(r davtest.Request) bool {
		return r.Method == "PUT" && strings.Contains(r.Path, "forbidden")
	}, davtest.Status(403))
	srv.When(-1, func(r davtest.Request) bool {
		return r.Method == "PUT" && strings.Contains(r.Path, "nameless")
	}, davtest.Status(400))
	type_("sync", "home")
	type_("problems")
	type_("conflicts")
	type_("held")
	type_("why", "lunch")
	type_("why", "local/cal", "dinner")
	type_("why", "nobody")
	type_("versions", "work/cal")
	type_("log")

	// And what a person does about it.
	type_("repair", "local/cal", "--dry-run")
	type_("repair", "local/cal")
	for _, name := range []string{"inner", "forbidden"} {
		h.must(os.Remove(filepath.Join(h.Dir, "pim/cal", name+".ics")))
	}
	type_("resolve", "c1", "member:work/cal")
	type_("held", "--restore", "home")
	type_("undo", "2", "--dry-run")
	type_("undo", "2")
	type_("restore", "work/cal", "dinner.ics", "1")
	type_("restore", "work/cal", "dinner.ics", "99")
	type_("undo", "99")
	type_("resolve", "c9", "newest")
	type_("sync", "home")
	type_("problems")
	h.compare("testdata/troubles.txt", told.String())
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
