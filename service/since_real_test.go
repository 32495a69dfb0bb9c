//go:build real

package service

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

// since reads what changed in a/cal since a revision.
func (d *rig) since(revision string) (items, gone []string, now string, full bool) {
	d.Helper()
	path := d.open("a/cal", "Collection.Export", client.Options{"format": "json-lines", "since-revision": revision})
	lines, err := io.ReadAll(d.fd(path, nil))
	d.must(err)
	for line := range strings.Lines(string(lines)) {
		var l struct {
			Item, Revision string
			Deleted, Full  bool
		}
		d.must(json.Unmarshal([]byte(line), &l))
		switch {
		case l.Revision != "":
			now, full = l.Revision, l.Full
		case l.Deleted:
			gone = append(gone, l.Item)
		default:
			items = append(items, l.Item)
		}
	}
	return items, gone, now, full
}

func TestRealT8AnExportSinceARevisionTellsWhatChangedAndWhatIsGone(t *testing.T) {
	d := home(t)
	d.start()
	for _, uid := range []string{"one", "two", "three"} {
		d.write("a/cal/"+uid+".ics", vevent(uid, "Event "+uid))
	}
	d.account("a", "vdir", "path", filepath.Join(d.Dir, "a"), "kind", "calendar")
	d.account("b", "vdir", "path", filepath.Join(d.Dir, "b"), "kind", "calendar")
	_, err := d.c.AddGroup(t.Context(), "home", []string{"a", "b"}, client.Options{"create-missing": []string{"b"}})
	d.must(err)
	d.sync("home", "success")
	items, gone, first, full := d.since("")
	if len(items) != 3 || len(gone) != 0 || first == "" || !full {
		t.Errorf("everything: %v %v %q %v", items, gone, first, full)
	}
	if items, gone, same, full := d.since(first); len(items)+len(gone) != 0 || same != first || full {
		t.Errorf("nothing changed: %v %v %q %v", items, gone, same, full)
	}
	d.write("b/cal/two.ics", vevent("two", "Edited"))
	d.write("a/cal/four.ics", vevent("four", "New"))
	d.must(os.Remove(filepath.Join(d.Dir, "b/cal/one.ics")))
	d.sync("home", "success")
	check := func() {
		t.Helper()
		// The edits may also have been noticed one by one.
		if !lab.Within(patience, func() bool { items, gone, _, _ := d.since(first); return len(items)+len(gone) == 3 }) {
			t.Error("not all of it is told")
		}
		items, gone, now, full := d.since(first)
		if !slices.Equal(items, []string{"four.ics", "two.ics"}) || !slices.Equal(gone, []string{"one.ics"}) || now == first || full {
			t.Errorf("since %s: %v %v %q %v", first, items, gone, now, full)
		}
	}
	check()
	d.must(d.stop())
	d.start()
	check()
	if items, _, _, full := d.since("999999"); len(items) != 3 || !full {
		t.Errorf("of a revision that never was: %v %v", items, full)
	}
	if _, err := d.c.Open(t.Context(), "a/cal", "Collection.Export", client.Options{"format": "json-lines", "since-revision": "x"}); err == nil {
		t.Error("a revision that is none was taken")
	}
	d.othersTake(t, first)
}

// othersTake has another collection take what one export tells.
func (d *rig) othersTake(t *testing.T, first string) {
	d.Helper()
	d.account("c", "vdir", "path", filepath.Join(d.Dir, "c"), "kind", "calendar")
	for _, uid := range []string{"one", "two", "three"} {
		d.write("c/cal/"+uid+".ics", vevent(uid, "Event "+uid))
	}
	job, err := d.c.Discover(d.Context(), "c", nil)
	d.must(err)
	_, _, err = d.c.Wait(d.Context(), job)
	d.must(err)
	from := d.fd(d.open("a/cal", "Collection.Export", client.Options{"format": "json-lines", "since-revision": first}), nil)
	lines, err := io.ReadAll(from)
	d.must(err)
	path, _, _ := d.asker().stream("Collection.Import", "c/cal", nil, nil)
	got := answer(t, tool(t, string(lines), "socat", "-t30", "-", "UNIX-CONNECT:"+path))
	if got.Result != "success" || got.Added != 1 || got.Modified != 1 || got.Removed != 1 || d.files("c/cal") != "New, Event three, Edited" {
		d.Errorf("%+v, %s", got, d.files("c/cal"))
	}
}
