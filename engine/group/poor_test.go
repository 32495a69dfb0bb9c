package group_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/item"
)

// declared is a world whose second member keeps summaries and says so.
func declared(t *testing.T, members int) *world {
	w := newWorld(t, members)
	w.stores[1].Rewrite = poor
	w.members[1].Properties = []string{"SUMMARY", "dtstart"}
	return w
}

func TestARichAndAPoorTextOfOneItemAreOneFromTheFirstSyncOn(t *testing.T) {
	for _, name := range []string{"a/cal", "z/cal"} { // whoever comes first by name
		w := declared(t, 3)
		w.members[0].ID = engine.MemberID(name)
		w.stores[0].Put("1", rich("1", "one"))
		w.put(1, "1", "one")
		w.sync()
		for _, n := range []int{0, 2} {
			if got := string(w.text(n, "1")); got != string(rich("1", "one")) {
				t.Errorf("member %d has:\n%s", n, got)
			}
		}
		if c := w.stores[1].Counts(); c.Writes() > 0 || len(w.conflicts()) > 0 {
			t.Errorf("%+v, conflicts %v", c, w.conflicts())
		}
		w.quiet()
	}
}

func TestAPoorMemberIsGivenWhatItKeepsAndNothingElse(t *testing.T) {
	w := declared(t, 2)
	w.stores[1].Refuse = func(write engine.Write) error {
		if strings.Contains(string(write.Text), "LOCATION") {
			t.Errorf("it was given\n%s", write.Text)
		}
		return nil
	}
	w.stores[0].Put("1", rich("1", "one"))
	w.sync()
	w.want(1, "1=one")
	w.quiet()
	// What it cannot keep is nothing to write, and what it adds by itself no edit.
	w.stores[0].Put("1", []byte(strings.Replace(string(rich("1", "one")), "cellar", "attic", 1)))
	w.stores[1].Put("1", []byte(strings.Replace(string(w.text(1, "1")), "END:VEVENT", "X-MOOD:good\r\nEND:VEVENT", 1)))
	w.reset()
	w.sync()
	if w.writes() > 0 || strings.Contains(string(w.text(0, "1")), "MOOD") {
		t.Errorf("%d writes:\n%s", w.writes(), w.text(0, "1"))
	}
	w.quiet()
}

// A plugin that declares more than it keeps is read back: what it lost is no edit.
func TestAPoorMemberThatKeepsLessThanItSaysErasesNothing(t *testing.T) {
	w := declared(t, 2)
	w.members[1].Properties = append(w.members[1].Properties, "LOCATION")
	w.stores[0].Put("1", rich("1", "one"))
	w.sync()
	w.sync(group.Options{Slow: true})
	w.put(1, "1", "two")
	w.sync()
	if got := string(w.text(0, "1")); got != string(rich("1", "two")) {
		t.Errorf("got:\n%s", got)
	}
	w.quiet()
}

func TestAPoorMemberThatRulesErasesNothing(t *testing.T) {
	for _, how := range []string{"one way", "policy", "resolved", "first"} {
		t.Run(how, func(t *testing.T) {
			w := declared(t, 3)
			w.stores[0].Put("1", rich("1", "one"))
			if how == "first" {
				w.rules.Policy, w.rules.Prefer = "member", "b/cal"
				w.put(1, "1", "two")
			}
			w.sync()
			switch how {
			case "one way":
				w.rules.From = "b/cal"
			case "policy":
				w.rules.Policy, w.rules.Prefer = "member", "b/cal"
			}
			w.put(1, "1", "two")
			if how == "policy" || how == "resolved" {
				w.stores[0].Put("1", rich("1", "three"))
			}
			w.sync()
			if how == "resolved" {
				w.sync(group.Options{Decide: &group.Decision{Conflict: w.conflictID(), Choice: "member", Member: "b/cal"}})
			}
			w.all("1=two")
			for _, n := range []int{0, 2} {
				if got := string(w.text(n, "1")); got != string(rich("1", "two")) {
					t.Errorf("member %d has:\n%s", n, got)
				}
			}
			w.quiet()
		})
	}
}

// Neither its version of vCard nor what it keeps of a card lets a member erase the
// rest, whatever rules.
func TestAPoorMemberOfVersion3ErasesNothingOfVersion4(t *testing.T) {
	for _, how := range []string{"edit", "one way", "policy", "resolved", "first"} {
		t.Run(how, func(t *testing.T) {
			w := cardWorld(t, engine.VCard4, engine.VCard3, "")
			w.members[1].Properties = []string{"FN", "EMAIL", "TEL"}
			card := strings.Replace(string(full("1")), "FN;ALTID=1;LANGUAGE=en:Ann\r\nFN;ALTID=1;LANGUAGE=fr:Anne", "FN:Ann", 1)
			prefer := func() { w.rules.Policy, w.rules.Prefer = "member", "b/cal" }
			w.stores[0].Put("1", []byte(card))
			if how == "first" {
				prefer()
				w.stores[1].Put("1", []byte("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:1\r\nN:;;;;\r\nFN:Eve\r\nEMAIL;TYPE=PREF:ann@example.org\r\nTEL;TYPE=cell,voice:+43-1-2\r\nEND:VCARD\r\n"))
			}
			w.sync()
			switch how {
			case "one way":
				w.rules.From = "b/cal"
			case "policy":
				prefer()
			}
			if how != "first" {
				if has := string(w.text(1, "1")); strings.Contains(has, "NOTE") || !strings.Contains(has, "VERSION:3.0") {
					t.Errorf("it was given\n%s", has)
				}
				w.swap(1, "1", "FN:Ann", "FN:Eve")
			}
			if how == "policy" || how == "resolved" {
				w.swap(0, "1", "FN:Ann", "FN:Zoe")
			}
			w.sync()
			if how == "resolved" {
				w.rules.Policy = "ask"
				w.sync(group.Options{Decide: &group.Decision{Conflict: w.conflictID(), Choice: "member", Member: "b/cal"}})
			}
			for _, n := range []int{0, 2} {
				got := string(w.text(n, "1"))
				for _, line := range []string{"VERSION:4.0", "FN:Eve", "n:Smith", "KIND:ind", "LANG;", "BDAY:", "ADR;", "NOTE:far", "RELATED", "PHOTO"} {
					if !strings.Contains(got, "\r\n"+line) {
						t.Errorf("member %d has no %s:\n%s", n, line, got)
					}
				}
			}
			w.peace()
			w.quiet()
		})
	}
}

// Whatever people edit where, and whoever wins: what the poor member cannot keep is
// what somebody wrote who can.
func TestRandomEditsOfAPoorMemberEraseNothing(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 5))
		w := declared(t, 3)
		w.rules.Policy = []string{"merge", "member", "member"}[r.IntN(3)]
		w.rules.Prefer = w.members[r.IntN(3)].ID
		place, title := "cellar", 0
		w.stores[0].Put("1", rich("1", "0"))
		set := func(n int, name, value string) {
			text := string(w.text(n, "1"))
			at := strings.Index(text, name+":")
			end := at + strings.Index(text[at:], "\r\n")
			w.stores[n].Put("1", []byte(text[:at]+name+":"+value+text[end:]))
		}
		w.sync()
		for step := range 8 {
			if r.IntN(2) == 0 {
				place = fmt.Sprint("room ", step)
				set(2*r.IntN(2), "LOCATION", place)
			}
			for n := range w.stores {
				if r.IntN(3) == 0 {
					title++
					set(n, "SUMMARY", fmt.Sprint(title))
				}
			}
			w.sync(group.Options{Slow: r.IntN(4) == 0})
			for _, n := range []int{0, 2} {
				text := string(w.text(n, "1"))
				lost := !strings.Contains(text, "X-OWN:yes") || len(w.conflicts()) == 0 && !strings.Contains(text, "LOCATION:"+place+"\r\n")
				if lost && !(w.rules.Policy == "member" && strings.Contains(text, "LOCATION:")) {
					t.Fatalf("seed %d step %d (%+v): member %d has\n%s", seed, step, w.rules, n, text)
				}
			}
			if open := w.conflicts(); len(open) > 0 {
				w.sync(group.Options{Decide: &group.Decision{Conflict: w.conflictID(), Choice: "member", Member: "b/cal"}})
				for _, n := range []int{0, 2} {
					if text := string(w.text(n, "1")); !strings.Contains(text, "X-OWN:yes") || !strings.Contains(text, "LOCATION:") {
						t.Fatalf("seed %d step %d: member %d has\n%s", seed, step, n, text)
					}
				}
			}
			place = locationOf(w.text(0, "1"))
		}
	}
}

func locationOf(text []byte) string {
	for line := range strings.SplitSeq(string(text), "\r\n") {
		if value, is := strings.CutPrefix(line, "LOCATION:"); is {
			return value
		}
	}
	return ""
}

func TestWhatIsKept(t *testing.T) {
	keep := item.Keeps([]string{"SUMMARY", "valarm.trigger"})
	text := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nCALSCALE:GREGORIAN\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:x\r\nLOCATION:y\r\n" +
		"BEGIN:VALARM\r\nTRIGGER:-PT1M\r\nACTION:AUDIO\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	want := slices.DeleteFunc(strings.SplitAfter(text, "\r\n"), func(l string) bool {
		return strings.HasPrefix(l, "CALSCALE") || strings.HasPrefix(l, "LOCATION") || strings.HasPrefix(l, "ACTION")
	})
	if got := string(item.Project([]byte(text), keep)); got != strings.Join(want, "") {
		t.Errorf("got\n%s", got)
	}
	if item.Keeps(nil) != nil {
		t.Error("no names keep less than everything")
	}
}
