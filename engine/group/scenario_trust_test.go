package group_test

import (
	"fmt"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/storage/memory"
)

func TestScenario37BackToAnOldTextMustArrive(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.put(0, "1", "v1")
		w.sync()
		w.put(0, "1", "v2")
		w.sync()
		w.put(1, "1", "v1")
		w.sync()
		w.all("1=v1")
		w.quiet()
	})
}

func TestScenario39ARewritingServerIsReadBackOnceAndPingsNobody(t *testing.T) {
	for _, inline := range []bool{false, true} {
		overServer(t, 1, func(t *testing.T, w *world) {
			w.stores[1].Rewrite, w.stores[1].Inline = rewriter, inline
			w.put(0, "1", "one")
			w.sync()
			for range 3 {
				w.quiet()
			}
			if got := string(w.text(1, "1")); !strings.Contains(got, "X-SERVER:1") {
				t.Fatalf("the server kept %q", got)
			}
			if got := string(w.text(0, "1")); strings.Contains(got, "X-SERVER") {
				t.Errorf("what the server made of it came back: %q", got)
			}
			w.put(1, "1", "two") // an edit there still is one
			w.sync()
			w.want(0, "1=two")
			w.put(0, "1", "three")
			w.sync()
			w.want(1, "1=three")
			w.quiet()
			if len(w.conflicts()) > 0 {
				t.Errorf("conflicts %v", w.conflicts())
			}
		})
	}
}

// rewriter does what Radicale and others do.
func rewriter(text []byte) []byte {
	s := strings.Replace(string(text), "PRODID:test", "PRODID:server", 1)
	if !strings.Contains(s, "X-SERVER:1") {
		s = strings.Replace(s, "END:VEVENT", "X-SERVER:1\r\nEND:VEVENT", 1)
	}
	return []byte(s)
}

func TestScenario42AServerThatLostNearlyAllStops(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		for i := range 60 {
			w.put(0, fmt.Sprintf("%02d", i), "x")
		}
		w.sync()
		full := w.has(0)
		for i := range 58 {
			w.remove(1, fmt.Sprintf("%02d", i))
		}
		w.put(1, "new", "y")
		w.sync()
		w.want(0, full+" new=y") // everything else proceeds
		if p := w.problems(); len(p) != 58 {
			t.Errorf("%d are held", len(p))
		}
		w.quiet()
		w.sync(group.Options{Proceed: true, Only: "b/cal"})
		w.want(0, full+" new=y") // nothing is held there
		w.sync(group.Options{Proceed: true, Only: "a/cal"})
		w.all("58=x 59=x new=y")
		w.quiet()
	})
}

func TestHeldDeletionsAreRestored(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 20 {
		w.put(0, fmt.Sprintf("%02d", i), "x")
	}
	w.sync()
	full := w.has(0)
	for i := range 15 {
		w.remove(1, fmt.Sprintf("%02d", i))
	}
	w.sync()
	w.sync(group.Options{Restore: true})
	w.all(full)
	if p := w.problems(); len(p) > 0 {
		t.Errorf("still held: %+v", p)
	}
	w.quiet()
}

func TestProceedMeansExactlyWhatWasHeldThen(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 20 {
		w.put(0, fmt.Sprintf("%02d", i), "x")
	}
	w.sync()
	for i := range 15 {
		w.remove(1, fmt.Sprintf("%02d", i))
	}
	w.sync()
	w.put(0, "00", "edited since") // and is wanted after all
	w.sync(group.Options{Proceed: true})
	w.all("00=edited since 15=x 16=x 17=x 18=x 19=x")
}

func TestScenario43AFailedListingIsNeverEmpty(t *testing.T) {
	for _, kind := range []engine.Kind{engine.CollectionGone, engine.AuthFailed, engine.Forbidden, engine.ServerError, engine.ServerNonconforming, engine.Offline} {
		for _, call := range []string{"changes", "list"} {
			w := newWorld(t, 2)
			w.stores[1].NoTokens = call == "list"
			w.put(0, "1", "one")
			w.sync()
			w.stores[1].Before = func(c memory.Call) error {
				if c.Name == call {
					return engine.Fail(kind, "list", "b/cal", "as told")
				}
				return nil
			}
			w.put(0, "2", "two")
			res := w.sync()
			w.want(0, "1=one 2=two")
			if f := res.Members[1].Failure; f.Kind != kind || !res.Set.Failure.Set {
				t.Errorf("%v: %+v %+v", kind, f, res.Set.Failure)
			}
			w.stores[1].Before = nil
			w.sync()
			w.all("1=one 2=two")
		}
	}
}

func TestScenario43WhateverIsAnsweredInsteadOfAListDeletesNothing(t *testing.T) {
	for name, fault := range map[string]davtest.Fault{
		"401": davtest.Status(401), "403": davtest.Status(403), "404": davtest.Status(404), "410": davtest.Status(410),
		"500": davtest.Status(500), "a web page": davtest.HTML200(), "an empty list": davtest.Empty207(),
		"a list that is cut off": davtest.Truncate(400, false), "a connection that is cut": davtest.Truncate(400, true),
	} {
		for _, tokens := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				w := realWorld(t, "folder", "server")
				w.put(0, "1", "one")
				w.put(1, "2", "two")
				if !tokens {
					w.servers[1].Always("REPORT", davtest.NoReport("sync-collection", 501))
				}
				w.sync()
				w.servers[1].Heal()
				w.servers[1].Always("REPORT", fault)
				w.servers[1].Always("PROPFIND", fault)
				w.put(0, "3", "three")
				w.sync()
				w.want(0, "1=one 2=two 3=three")
				w.servers[1].Heal()
				w.sync()
				w.all("1=one 2=two 3=three")
				if c, p := w.conflicts(), w.problems(); len(c)+len(p) > 0 {
					t.Errorf("conflicts %v, problems %+v", c, p)
				}
			})
		}
	}
}

func TestScenario44AnItemThatVanishesBetweenListingAndFetch(t *testing.T) {
	overServer(t, 0, func(t *testing.T, w *world) {
		w.put(0, "1", "one")
		w.put(0, "2", "two")
		once := true
		w.stores[0].Before = func(c memory.Call) error {
			if c.Name == "fetch" && once {
				once = false
				w.places[0].Remove("1")
			}
			return nil
		}
		w.sync()
		w.want(1, "2=two")
		w.sync()
		w.all("2=two")
		w.quiet()
	})
}

func TestScenario45BothDeleteBothCreateAndATouchIsNoEdit(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.put(0, "1", "one")
		w.put(0, "2", "two")
		w.sync()
		w.remove(0, "1")
		w.touch(1, "1")
		w.sync()
		w.all("2=two")
		w.remove(0, "2")
		w.remove(1, "2")
		w.put(0, "3", "three")
		w.put(1, "3", "three")
		w.reset()
		w.sync()
		w.all("3=three")
		if w.writes() > 0 {
			t.Errorf("%d writes", w.writes())
		}
	})
}

func TestScenario46KeepBothLosesNothingAndIsStable(t *testing.T) {
	over(t, 3, func(t *testing.T, w *world) {
		w.put(0, "1", "one")
		w.sync()
		w.rules.Policy = "keep-both"
		w.put(0, "1", "left")
		w.put(1, "1", "right")
		w.sync()
		got := w.has(0)
		if !strings.Contains(got, "=left") || !strings.Contains(got, "=right") || strings.Count(got, "=") != 2 {
			t.Errorf("a has %q", got)
		}
		w.all(got)
		w.quiet()
		if len(w.conflicts()) > 0 {
			t.Errorf("conflicts %v", w.conflicts())
		}
	})
}

func TestScenario52AWriteOverWhatMovedChangesNothing(t *testing.T) {
	overServer(t, 1, func(t *testing.T, w *world) {
		w.put(0, "1", "one")
		w.sync()
		w.put(0, "1", "two")
		w.stores[1].Before = func(c memory.Call) error {
			if c.Name == "replace" && c.N == 0 {
				w.put(1, "1", "caught")
			}
			return nil
		}
		w.sync()
		w.want(1, "1=caught")
		w.want(0, "1=two")
		if got := w.conflicts(); len(got) != 1 {
			t.Errorf("conflicts %v", got)
		}
		if _, err := w.try(group.Options{Decide: &group.Decision{Conflict: w.conflictID(), Choice: "member", Member: "b/cal"}}); err != nil {
			t.Fatal(err)
		}
		w.all("1=caught")
		w.quiet()
	})
}
