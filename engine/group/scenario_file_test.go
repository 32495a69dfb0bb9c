package group_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/item"
)

// Random edits and syncs of a folder and a server that tells etags wrongly,
// refuses single items and is sometimes away: after a clean run both are equal,
// nothing is there twice, and nothing that was written last is lost.
func TestScenario28RandomEditsAndSyncsKeepTheInvariants(t *testing.T) {
	modes := []davtest.EtagMode{davtest.NoEtagOnPut, davtest.NoEtags, davtest.WeakEtags, davtest.WrongOnPut, davtest.GzipEtags}
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 28))
			w := realWorld(t, "folder", "server")
			w.rules.Policy = "merge"
			truth := map[string]string{} // each item is edited in one place between two syncs
			for range 10 {
				w.servers[1].Heal()
				if r.IntN(2) == 0 {
					w.servers[1].Always("", davtest.Etags(modes[r.IntN(len(modes))]))
				}
				for _, n := range r.Perm(6)[:3] {
					uid, at := fmt.Sprint("u", n), r.IntN(2)
					if r.IntN(4) == 0 {
						w.remove(at, uid)
						delete(truth, uid)
						continue
					}
					truth[uid] = fmt.Sprint("v", r.Uint32())
					w.put(at, uid, truth[uid])
				}
				if r.IntN(4) == 0 {
					w.servers[1].When(2, func(davtest.Request) bool { return true }, davtest.Status(403))
					w.sync(group.Options{Proceed: true})
					w.servers[1].Heal()
				}
				// What was refused or held is tried at once: a person asks for it.
				for range 2 {
					w.sync(group.Options{Slow: true})
					w.sync(group.Options{Proceed: true})
				}
				var want []string
				for n := range 6 {
					if text, there := truth[fmt.Sprint("u", n)]; there {
						want = append(want, fmt.Sprint("u", n, "=", text))
					}
				}
				w.all(strings.Join(want, " "))
				if t.Failed() {
					t.Fatalf("reproduce: go test ./engine/group -run 'Scenario28.*/seed_%d$'", seed)
				}
			}
			w.servers[1].Heal()
			w.sync()
			w.quiet()
		})
	}
}

func TestScenario33AMemberThatBecameEmpty(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.put(0, "1", "one")
		w.sync()
		w.remove(0, "1")
		w.sync()
		w.all("") // one deletion is a deletion
		for i := range 4 {
			w.put(0, fmt.Sprint(i), "x")
		}
		w.sync()
		full := w.has(1)
		for i := range 4 {
			w.remove(0, fmt.Sprint(i))
		}
		w.sync()
		w.want(1, full) // but what empties a member of more than three is asked for
		w.sync(group.Options{Restore: true})
		w.all(full)
	})
}

func TestScenario34ACollectionThatVanishedDeletesNothing(t *testing.T) {
	for gone := range 2 {
		w := realWorld(t, "folder", "server")
		w.put(0, "1", "one")
		w.sync()
		if gone == 0 {
			w.places[0].(*folder).must(os.RemoveAll(w.places[0].(*folder).path))
		} else {
			w.servers[1].Source.Drop("memory-1")
		}
		if res := w.sync(); res.Members[gone].Failure.Kind != engine.CollectionGone || !res.Set.Failure.Set {
			t.Errorf("%d: %+v", gone, res)
		}
		w.want(1-gone, "1=one")
		if w.writes() != 1 { // of the first run
			t.Errorf("%d: %d writes", gone, w.writes())
		}
	}
}

func TestScenario38WhatMovesBetweenComponentsIsAChange(t *testing.T) {
	series := func(master, override, early, late, offset string) []byte {
		return []byte(strings.ReplaceAll("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:test\nBEGIN:VTIMEZONE\nTZID:Z\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0100\nTZOFFSETTO:"+offset+"\nEND:STANDARD\nEND:VTIMEZONE\n"+
			"BEGIN:VEVENT\nUID:1\nDTSTART;TZID=Z:20240101T120000\nRRULE:FREQ=DAILY;COUNT=3\nSUMMARY:"+master+
			"\nBEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:a\nTRIGGER:"+early+"\nEND:VALARM\nBEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:b\nTRIGGER:"+late+"\nEND:VALARM\nEND:VEVENT\n"+
			"BEGIN:VEVENT\nUID:1\nRECURRENCE-ID;TZID=Z:20240102T120000\nDTSTART;TZID=Z:20240102T130000\nSUMMARY:"+override+"\nEND:VEVENT\nEND:VCALENDAR\n", "\n", "\r\n"))
	}
	over(t, 2, func(t *testing.T, w *world) {
		w.places[0].Put("1", series("A", "B", "-PT15M", "-PT5M", "+0100"))
		w.sync()
		for i, text := range [][]byte{
			series("B", "A", "-PT15M", "-PT5M", "+0100"), // swapped between master and override
			series("B", "A", "-PT5M", "-PT15M", "+0100"), // between two alarms
			series("B", "A", "-PT5M", "-PT15M", "+0200"), // the offset of the zone
		} {
			w.places[0].Put("1", text)
			w.sync()
			if got := w.text(1, "1"); !bytes.Equal(got, text) && !(w.distant(1) && item.Sum(got) == item.Sum(text)) {
				t.Errorf("change %d did not arrive: %s", i, got)
			}
		}
		w.quiet()
	})
}

func TestScenario48AnEditWithTheOldTimeAndSizeIsFound(t *testing.T) {
	w := realWorld(t, "folder", "server")
	w.put(0, "1", "one")
	w.sync()
	w.rest() // a file that may still change is read whatever its stamp says
	w.quiet()
	f := w.places[0].(*folder)
	before, err := os.Stat(f.file("1"))
	f.must(err)
	f.must(os.WriteFile(f.file("1"), event("1", "two"), 0o600))
	f.must(os.Chtimes(f.file("1"), before.ModTime(), before.ModTime()))
	if after, err := os.Stat(f.file("1")); err != nil || !after.ModTime().Equal(before.ModTime()) || after.Size() != before.Size() {
		t.Fatalf("%v %v, %v", before, after, err)
	}
	f.rest()
	w.sync()
	w.all("1=two")
	// A clock that jumps to and fro changes nothing by itself.
	for _, at := range []time.Time{time.Unix(0, 1), time.Now().AddDate(10, 0, 0)} {
		f.must(os.Chtimes(f.file("1"), at, at))
		w.reset()
		w.sync()
		if w.writes() > 0 {
			t.Errorf("%d writes after the time became %v", w.writes(), at)
		}
	}
	w.all("1=two")
}

func TestScenario49AHalfWrittenFileIsNotUploaded(t *testing.T) {
	w := realWorld(t, "folder", "server")
	f := w.places[0].(*folder)
	w.put(0, "1", "one")
	w.sync()
	whole := event("1", "the whole new text")
	w.servers[1].ResetLog()
	for _, half := range [][]byte{whole[:len(whole)/2], nil} {
		f.must(os.WriteFile(f.file("1"), half, 0o600))
		f.must(os.WriteFile(f.file("2"), event("2", "new")[:60], 0o600))
		w.sync()
		w.want(1, "1=one")
		if n := w.servers[1].Count("PUT", "DELETE"); n > 0 {
			t.Errorf("%d writes were tried", n)
		}
	}
	f.must(os.WriteFile(filepath.Join(f.path, "1.ics.tmp"), whole, 0o600))
	f.must(os.Rename(filepath.Join(f.path, "1.ics.tmp"), f.file("1")))
	f.must(os.Remove(f.file("2")))
	w.sync()
	w.all("1=the whole new text")
}

func TestScenario64AMemberTakesTheComponentsThatItNames(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.put(0, "e", "event")
		w.places[0].Put("t", []byte(strings.ReplaceAll(string(event("t", "task")), "VEVENT", "VTODO")))
		for _, c := range []struct {
			takes []string
			want  string
		}{{[]string{}, ""}, {[]string{"VTODO"}, "t=task"}, {[]string{"VTODO", "VEVENT"}, "e=event t=task"}, {[]string{"VEVENT"}, "e=event t=task"}, {nil, "e=event t=task"}} {
			w.members[1].Components = c.takes
			w.sync()
			w.want(1, c.want) // what came before the filter stays
			w.want(0, "e=event t=task")
		}
	})
}

func TestScenario74AForeignWriteBetweenOurWriteAndTheTokenIsNotMissed(t *testing.T) {
	w := realWorld(t, "folder", "server")
	w.put(0, "1", "one")
	w.sync()
	w.put(0, "2", "two")
	w.servers[1].When(1, func(r davtest.Request) bool { return r.Method == http.MethodPut }, davtest.Change(
		func(out http.ResponseWriter, r *http.Request, a *httptest.ResponseRecorder) {
			w.stores[1].Put("foreign.ics", event("9", "foreign"))
			w.stores[1].Put("1.ics", event("1", "edited there"))
			out.Header().Set("ETag", a.Header().Get("ETag"))
			out.WriteHeader(a.Code)
		}))
	w.sync()
	w.sync()
	w.all("1=edited there 2=two 9=foreign")
	w.quiet()
}

func TestScenario79AnotherFolderOrServerInThePlaceOfTheOldDeletesNothing(t *testing.T) {
	for swapped, kind := range []string{"folder", "server"} {
		w := realWorld(t, "folder", "server")
		for i := range 3 {
			w.put(0, fmt.Sprint(i), "x")
		}
		w.sync()
		one := realWorld(t, kind, kind)
		w.places[swapped], w.stores[swapped], w.members[swapped] = one.places[0], one.stores[0], one.members[0]
		w.members[swapped].ID = engine.MemberID([]string{"a/cal", "b/cal"}[swapped])
		w.sync()
		w.all("0=x 1=x 2=x")
		w.quiet()
	}
}
