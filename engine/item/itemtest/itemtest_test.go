package itemtest

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

func TestGeneratedItemsAreWellFormedAndRealistic(t *testing.T) {
	const seed, count = 7, 3000
	for _, kind := range []string{engine.Calendar, engine.AddressBook} {
		size := 0
		found := map[string]int{}
		for _, it := range Gen(seed, count, kind) {
			i := item.Read(it.Text)
			if !i.Parsed || i.UID != it.UID || i.Kind != kind || i.Many || i.Summary == "" {
				t.Fatalf("seed %d: item %s reads as %+v:\n%s", seed, it.UID, i, it.Text)
			}
			size += len(it.Text)
			for _, c := range i.Components {
				found[c]++
			}
			for _, what := range []string{"RRULE:", "RECURRENCE-ID", "BEGIN:VALARM", "BEGIN:VTIMEZONE", "ATTENDEE", "\r\n ", "PHOTO", "item1.", "MEMBER:"} {
				if bytes.Contains(it.Text, []byte(what)) {
					found[what]++
				}
			}
		}
		if mean := size / count; mean < 700 || mean > 1700 {
			t.Errorf("%s: items have %d bytes on average; want about 1.2 KB", kind, mean)
		}
		want := []string{"VEVENT", "VTODO", "VJOURNAL", "RRULE:", "RECURRENCE-ID", "BEGIN:VALARM", "BEGIN:VTIMEZONE", "ATTENDEE", "\r\n "}
		if kind == engine.AddressBook {
			want = []string{"VCARD", "PHOTO", "item1.", "MEMBER:", "\r\n "}
		}
		for _, w := range want {
			if found[w] < 20 {
				t.Errorf("%s: only %d of %d items have %q", kind, found[w], count, w)
			}
		}
	}
}

func TestASeedGivesTheSameItemsAgain(t *testing.T) {
	few, many := Gen(3, 20, engine.Calendar), Gen(3, 40, engine.Calendar)
	for i := range few {
		if few[i].UID != many[i].UID || !bytes.Equal(few[i].Text, many[i].Text) {
			t.Fatalf("item %d differs", i)
		}
	}
	if bytes.Equal(few[0].Text, Gen(4, 1, engine.Calendar)[0].Text) {
		t.Error("another seed gives the same item")
	}
}

func TestAnEditChangesWhatIsSaidAndNotWhoseItIs(t *testing.T) {
	const seed = 11
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, kind := range []string{engine.Calendar, engine.AddressBook} {
		for n, it := range Gen(seed, 1000, kind) {
			text := it.Text
			for range 4 {
				edited := Edit(rng, text)
				i := item.Read(edited)
				if !i.Parsed || i.UID != it.UID {
					t.Fatalf("seed %d item %d: edited it reads as %+v:\n%s", seed, n, i, edited)
				}
				if item.Sum(edited) == item.Sum(text) {
					t.Fatalf("seed %d item %d: the edit changed nothing:\n%s", seed, n, edited)
				}
				text = edited
			}
		}
	}
}
