//go:build real

package service

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/engine/davserver/davtest"
)

// The scenarios of docs/scenarios.md that concern groups, collections and
// configuration, by number, over the bus.

// shops adds a folder account "local" with the given folders, each with one event
// of its own, and a server account "work" with the given calendars.
func (d *rig) shops(folders, calendars []string) *davtest.Server {
	d.Helper()
	d.must(os.MkdirAll(filepath.Join(d.Dir, "pim"), 0o700))
	for _, name := range folders {
		d.write("pim/"+name+"/own.ics", vevent("in-"+name, "from "+name))
	}
	srv := davtest.New(d.T, davtest.Options{User: "alice", Password: "hunter2"})
	d.write("pw", "hunter2\n")
	for _, name := range calendars {
		srv.Calendar(name)
	}
	d.account("work", "dav", "url", srv.URL+"/", "username", "alice", "password-command", []string{"cat", filepath.Join(d.Dir, "pw")})
	d.account("local", "vdir", "path", "~/pim", "kind", "calendar")
	return srv
}

// served are the names of a server's calendars with how many items each has.
func served(srv *davtest.Server, name string) int {
	s := srv.Source.Storage(name)
	if s == nil {
		return -1
	}
	return len(s.Texts())
}

func TestScenario30OnlyWhatAGroupNamesIsSynced(t *testing.T) {
	d := home(t)
	d.start()
	srv := d.shops([]string{"one", "two", "three"}, []string{"one", "two"})
	d.group("g", []string{"work/one", "local/one"}, client.Options{})
	d.sync("g", "success")
	if served(srv, "one") != 1 || served(srv, "two") != 0 || served(srv, "three") != -1 {
		t.Errorf("one %d, two %d, three %d", served(srv, "one"), served(srv, "two"), served(srv, "three"))
	}
	if got := d.files("pim/two"); got != "from two" {
		t.Errorf("two holds %q", got)
	}
}

func TestScenario31CollectionsAreMadeWhereTheyAreMissingIfAsked(t *testing.T) {
	d := home(t)
	d.start()
	srv := d.shops([]string{"one", "two"}, nil)
	d.group("g", []string{"work", "local"}, client.Options{"create-missing": []string{"work"}})
	d.sync("g", "success")
	if served(srv, "one") != 1 || served(srv, "two") != 1 {
		t.Errorf("one %d, two %d", served(srv, "one"), served(srv, "two"))
	}
	// An empty member has nothing to be made of.
	empty := davtest.New(t, davtest.Options{})
	d.account("empty", "dav", "url", empty.URL+"/")
	d.account("copy", "vdir", "path", "~/copy")
	d.must(os.MkdirAll(filepath.Join(d.Dir, "copy"), 0o700))
	d.group("h", []string{"empty", "copy"}, client.Options{"create-missing": []string{"copy"}})
	d.sync("h", "skipped")
	if entries, err := os.ReadDir(filepath.Join(d.Dir, "copy")); err != nil || len(entries) > 0 {
		t.Errorf("made %v, %v", entries, err)
	}
}

func TestScenario32WithoutAPartnerNothingHappens(t *testing.T) {
	d := home(t)
	d.start()
	srv := d.shops([]string{"one"}, []string{"two"})
	d.group("g", []string{"work", "local"}, client.Options{})
	r := d.sync("g", "skipped")
	if r.Int("added")+r.Int("modified")+r.Int("removed") != 0 || served(srv, "one") != -1 || served(srv, "two") != 0 {
		t.Errorf("%v", r.Plain())
	}
	if _, err := os.Stat(filepath.Join(d.Dir, "pim/two")); !os.IsNotExist(err) {
		t.Errorf("a folder was made: %v", err)
	}
}

func TestScenario35ACollectionStandsOnceInAGroup(t *testing.T) {
	d := home(t)
	d.start()
	d.shops([]string{"one", "two"}, []string{"one"})
	for _, members := range [][]string{{"work", "work"}, {"work/one", "local/one", "local/one"}, {"work", "local", "work/one"}, {"work"}} {
		if _, err := d.c.AddGroup(t.Context(), "g", members, nil); err == nil {
			t.Errorf("%v were taken", members)
		} else if !strings.Contains(err.Error(), "member") {
			t.Errorf("%v: %v does not say why", members, err)
		}
	}
}

func TestScenario77ANewCollectionIsFoundByItself(t *testing.T) {
	d := home(t)
	d.start()
	srv := d.shops([]string{"one"}, []string{"one"})
	d.group("g", []string{"work", "local"}, client.Options{"create-missing": []string{"local"}})
	d.sync("g", "success")
	srv.Calendar("later").Put("x.ics", []byte(vevent("x", "found")))
	d.sync("g", "success")
	if got := d.files("pim/later"); got != "found" {
		t.Errorf("later holds %q", got)
	}
	err := filepath.WalkDir(filepath.Join(d.State, "davbus"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), "hunter2") {
			t.Errorf("%s holds a secret", path)
		}
		return err
	})
	d.must(err)
}

func TestScenario78AnyNameOfACollectionGoesEitherWay(t *testing.T) {
	d := home(t)
	d.start()
	names := []string{"a", "A", "中国", "\ufffe", "with space", "100%"}
	srv := d.shops(names, nil)
	d.group("g", []string{"work", "local"}, client.Options{"create-missing": []string{"work", "local"}})
	d.sync("g", "success")
	var texts []string
	found, err := srv.Source.Look(t.Context(), true)
	d.must(err)
	for _, c := range found {
		for _, text := range srv.Source.Storage(c.Name).Texts() {
			_, after, _ := strings.Cut(text, "SUMMARY:")
			line, _, _ := strings.Cut(after, "\r\n")
			texts = append(texts, line)
		}
	}
	var want []string
	for _, name := range names {
		want = append(want, "from "+name)
	}
	slices.Sort(texts)
	slices.Sort(want)
	if !slices.Equal(texts, want) {
		t.Errorf("the server has %q, want %q", texts, want)
	}
	r := d.sync("g", "success")
	if r.Int("added")+r.Int("modified")+r.Int("removed") != 0 {
		t.Errorf("a second run: %v", r.Plain())
	}
	entries, err := os.ReadDir(filepath.Join(d.Dir, "pim"))
	if d.must(err); len(entries) != len(names) {
		t.Errorf("there are %v", entries)
	}
}

func TestScenario80OneThatFailsStopsNoOtherAndTheUnknownIsNamed(t *testing.T) {
	d := home(t)
	d.start()
	d.sync("", "skipped") // without groups there is nothing to do, and that is no error
	srv := d.shops([]string{"one"}, []string{"one"})
	d.account("broken", "vdir", "path", "~/nowhere")
	d.account("other", "vdir", "path", "~/other", "kind", "calendar")
	d.write("other/one/x.ics", vevent("x", "other"))
	d.group("bad", []string{"broken", "other"}, client.Options{})
	d.group("good", []string{"work", "local"}, client.Options{})
	for _, what := range []string{"nobody", "local/nothing"} {
		job, err := d.c.Sync(t.Context(), what, client.SyncOptions{})
		if err == nil {
			t.Errorf("%s: started %s", what, job)
		} else if !strings.Contains(err.Error(), strings.TrimPrefix(what, "local/")) {
			t.Errorf("%s: %v", what, err)
		}
	}
	job, err := d.c.Sync(t.Context(), "", client.SyncOptions{})
	d.must(err)
	result, report, err := d.c.Wait(t.Context(), job)
	d.must(err)
	if result == "success" || served(srv, "one") != 1 {
		t.Errorf("%s, the good one has %d: %v", result, served(srv, "one"), report.Plain())
	}
	if p, err := d.c.Problems(t.Context(), "", false); err != nil || len(p) > 0 {
		t.Errorf("a folder that is not there is no item's problem: %v, %v", p, err)
	}
}
