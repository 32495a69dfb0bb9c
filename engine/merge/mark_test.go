package merge

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine/item"
)

// check merges and compares what the result says.
func check(t *testing.T, agreed []byte, edits []Edit, want []byte, clashes string) Result {
	t.Helper()
	got := Merge(agreed, edits)
	if c := strings.Join(got.Clashes, " "); c != clashes {
		t.Fatalf("clashes are %q, want %q:\n%s", c, clashes, got.Proposal)
	}
	if (got.Text == nil) != (clashes != "") {
		t.Fatalf("there must be a text or clashes, not %q and %q", got.Text, clashes)
	}
	if item.Sum(got.Proposal) != item.Sum(want) {
		t.Fatalf("got:\n%s\nwant:\n%s", got.Proposal, want)
	}
	return got
}

func TestWhatAServerMadeOfAnItemIsNotAnEdit(t *testing.T) {
	agreed := event("SUMMARY:Lunch", "X-RICH:kept", "LOCATION:a;b", "COMMENT:one")
	mark := event("SUMMARY:Lunch", "LOCATION:a\\;b", "COMMENT:one", "X-SERVER:1", "TRANSP:OPAQUE")

	text := event("SUMMARY:Dinner", "LOCATION:a\\;b", "COMMENT:one", "X-SERVER:1", "TRANSP:OPAQUE")
	check(t, agreed, []Edit{{Mark: mark, Text: text}}, event("SUMMARY:Dinner", "X-RICH:kept", "LOCATION:a;b", "COMMENT:one"), "")

	text = event("SUMMARY:Lunch", "LOCATION:c", "COMMENT:one", "COMMENT:two", "X-SERVER:2", "TRANSP:OPAQUE")
	check(t, agreed, []Edit{{Mark: mark, Text: text}},
		event("SUMMARY:Lunch", "X-RICH:kept", "LOCATION:c", "COMMENT:one", "COMMENT:two", "X-SERVER:2"), "")

	// What it drops and what it adds, it may also lose again.
	text = event("SUMMARY:Lunch", "LOCATION:a\\;b")
	check(t, agreed, []Edit{{Mark: mark, Text: text}}, event("SUMMARY:Lunch", "X-RICH:kept", "LOCATION:a;b"), "")
}

func TestALateMemberDoesNotOverwriteWhatOthersAgreedOn(t *testing.T) {
	old := event("SUMMARY:Lunch", "LOCATION:here", "COMMENT:one")
	agreed := event("SUMMARY:Dinner", "COMMENT:one")
	late := func(lines ...string) []Edit { return []Edit{{Mark: old, Text: event(lines...), Behind: true}} }

	check(t, agreed, late("SUMMARY:Lunch", "LOCATION:here", "COMMENT:one", "COMMENT:two"),
		event("SUMMARY:Dinner", "COMMENT:one", "COMMENT:two"), "")
	check(t, agreed, late("SUMMARY:Dinner", "LOCATION:here"), event("SUMMARY:Dinner"), "")
	check(t, agreed, late("SUMMARY:Supper", "LOCATION:here", "COMMENT:one"), event("SUMMARY:Supper", "COMMENT:one"), "SUMMARY")
	check(t, agreed, late("LOCATION:here", "COMMENT:one"), event("COMMENT:one"), "SUMMARY")
	check(t, agreed, late("SUMMARY:Lunch", "LOCATION:there", "COMMENT:one"), event("SUMMARY:Dinner", "COMMENT:one"), "LOCATION")
	check(t, agreed, late("SUMMARY:Lunch", "COMMENT:one"), agreed, "")

	// The same mark in step: then the difference is the member's spelling.
	check(t, agreed, []Edit{{Mark: old, Text: event("SUMMARY:Supper", "LOCATION:here", "COMMENT:one")}},
		event("SUMMARY:Supper", "COMMENT:one"), "")

	// A property that the others added and this one too.
	agreed = event("SUMMARY:Lunch", "LOCATION:here", "COMMENT:one", "URL:x", "PRIORITY:1")
	check(t, agreed, late("SUMMARY:Lunch", "LOCATION:here", "COMMENT:one", "PRIORITY:1"), agreed, "")
	check(t, agreed, late("SUMMARY:Lunch", "LOCATION:here", "COMMENT:one", "PRIORITY:2"),
		event("SUMMARY:Lunch", "LOCATION:here", "COMMENT:one", "URL:x", "PRIORITY:2"), "PRIORITY")

	// Time belongs together, also against what was agreed on.
	old = event("DTSTART:20240101T100000Z", "DTEND:20240101T110000Z")
	agreed = event("DTSTART:20240101T080000Z", "DTEND:20240101T110000Z")
	check(t, agreed, late("DTSTART:20240101T100000Z", "DTEND:20240101T120000Z"),
		event("DTSTART:20240101T080000Z", "DTEND:20240101T120000Z"), "DTEND DTSTART")
}

func TestWithoutAMarkEveryDifferenceIsAClash(t *testing.T) {
	a, b := event("SUMMARY:Lunch", "LOCATION:here"), event("SUMMARY:Dinner", "COMMENT:x")
	want := event("SUMMARY:Lunch", "LOCATION:here", "COMMENT:x")
	check(t, nil, []Edit{{Text: a}, {Text: b}}, want, "COMMENT LOCATION SUMMARY")
	check(t, a, []Edit{{Text: b}}, want, "COMMENT LOCATION SUMMARY")
	check(t, a, []Edit{{Text: a}}, a, "")
	if got := Merge(nil, nil); got.Text != nil || got.Proposal != nil || got.Clashes != nil {
		t.Errorf("nothing merged is %+v", got)
	}

	// One that has a mark beside one that has none.
	c := event("SUMMARY:Lunch", "LOCATION:there")
	check(t, a, []Edit{{Text: b}, {Mark: a, Text: c}}, event("SUMMARY:Lunch", "LOCATION:there", "COMMENT:x"), "COMMENT LOCATION SUMMARY")
}

func TestAPoorMemberNeverErasesARichOnesData(t *testing.T) {
	keep := func(component, property string) bool {
		return component != "VALARM" && !slices.Contains([]string{"LOCATION", "X-RICH"}, property)
	}
	alarm := []string{"BEGIN:VALARM", "TRIGGER:-PT5M", "END:VALARM"}
	agreed := event(append([]string{"SUMMARY:Lunch", "LOCATION:here", "X-RICH:1"}, alarm...)...)
	for _, mark := range [][]byte{agreed, event("SUMMARY:Lunch"), event("SUMMARY:Lunch", "LOCATION:mangled")} {
		poor := Edit{Mark: mark, Text: event("SUMMARY:Dinner", "LOCATION:mangled again"), Keep: keep}
		check(t, agreed, []Edit{poor}, event(append([]string{"SUMMARY:Dinner", "LOCATION:here", "X-RICH:1"}, alarm...)...), "")

		rich := Edit{Mark: agreed, Text: event(append([]string{"SUMMARY:Lunch", "LOCATION:there", "X-RICH:2"}, alarm...)...)}
		check(t, agreed, []Edit{poor, rich}, event(append([]string{"SUMMARY:Dinner", "LOCATION:there", "X-RICH:2"}, alarm...)...), "")
	}
	// It did nothing that it can keep: that is no edit at all.
	if got := Merge(agreed, []Edit{{Mark: agreed, Text: event("SUMMARY:Lunch"), Keep: keep}}); !bytes.Equal(got.Text, agreed) {
		t.Errorf("got:\n%s", got.Text)
	}
}

func TestTextsThatCannotBeTakenApart(t *testing.T) {
	good, broken := event("SUMMARY:Lunch"), []byte("BEGIN:VCALENDAR\r\nSUMMARY:x\r\n")
	if got := Merge(good, []Edit{{Mark: good, Text: broken}}); !bytes.Equal(got.Text, broken) {
		t.Errorf("one edit alone needs no merge: %+v", got)
	}
	got := Merge(good, []Edit{{Mark: good, Text: broken}, {Mark: good, Text: event("SUMMARY:y")}})
	if got.Text != nil || !slices.Equal(got.Clashes, []string{Whole}) || !bytes.Equal(got.Proposal, broken) {
		t.Errorf("got %+v", got)
	}
	for depth, want := range map[int]bool{deepest - 1: true, deepest: false, 100000: false} {
		deep := func(in string) []byte {
			return []byte(strings.Repeat("BEGIN:X\r\n", depth) + in + "\r\n" + strings.Repeat("END:X\r\n", depth))
		}
		got := Merge(deep("A:1\r\nB:1"), []Edit{{Mark: deep("A:1\r\nB:1"), Text: deep("A:2\r\nB:1")}, {Mark: deep("A:1\r\nB:1"), Text: deep("A:1\r\nB:2")}})
		if (got.Text != nil) != want || want && !bytes.Equal(got.Text, deep("A:2\r\nB:2")) {
			t.Errorf("depth %d: merged %v, want %v", depth, got.Text != nil, want)
		}
	}

	// A line that makes no sense is kept, and only it is in dispute.
	b := event("SUMMARY:Lunch", "no sense", "LOCATION:here")
	check(t, b, []Edit{{Mark: b, Text: event("SUMMARY:Dinner", "no sense", "LOCATION:here")}, {Mark: b, Text: event("SUMMARY:Lunch", "no sense")}},
		event("SUMMARY:Dinner", "no sense"), "")
	check(t, b, []Edit{{Mark: b, Text: event("SUMMARY:Lunch", "more nonsense", "LOCATION:here")}, {Mark: b, Text: event("SUMMARY:Lunch", "less", "LOCATION:here")}},
		event("SUMMARY:Lunch", "more nonsense", "LOCATION:here"), Whole)
}
