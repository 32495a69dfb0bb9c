// Package item reads the little that a sync must know of a text: whose it is,
// what is in it, and whether it differs from another. It never re-encodes one:
// what it gives back are the bytes it was given, but for the line it was asked
// to change.
//
// # Sameness
//
// Sum is what the ledger stores with a mark and what a planner compares. Equal
// sums always mean the same item. A text's own time zones are part of its sum,
// so a changed offset is a change; but a server may add the zone that a text
// left out, or drop one, and that is no change. No digest can say so, since it
// concerns two texts and not one:
//
//   - A text whose sum is its mark's sum has not moved. Nothing else is needed,
//     and this is the case of nearly every item.
//   - Otherwise the mark's text, the agreed text and the texts that other members
//     hold are at hand, and Settle gives every copy the sum to plan with: its
//     mark's where it is the same as its mark, the agreed one where it is the
//     same as that, one sum for all copies that are the same as each other.
//
// After that the planner compares sums and nothing else. What is written to the
// ledger is always Sum of the text that a member holds.
//
// A card goes to a member that does not take its version of vCard as As says it in
// another one; Alike compares the two.
//
// A member that cannot keep every property is compared by Project of its texts.
package item

import (
	"cmp"
	"slices"

	"davbus.org/davbus/engine"
)

// SumVersion names the scheme of Sum. A ledger that holds sums of another one
// makes them again from its texts.
const SumVersion = 1

// An Info is what can be read off a text.
type Info struct {
	UID        engine.UID // of the first component that has one; "" if none has
	Many       bool       // there are several UIDs or cards: Split takes them apart
	Kind       string     // engine.Calendar, engine.AddressBook, or "" if it is neither
	Components []string   // what it is made of, "VEVENT" or "VCARD": sorted, each once
	Summary    string     // one line for people, valid UTF-8; "" if there is none
	Sequence   int64      // the highest SEQUENCE; -1 if there is none
	Modified   int64      // the latest LAST-MODIFIED or REV in seconds since 1970; 0 if none
	Organizer  string     // the ORGANIZER's address as written; "" if none
	Attendees  bool       // somebody is invited

	Parsed bool   // the text is well formed, as far as a sync must know
	Reason string // why it is not, with the line
}

// Newer compares two versions of one item by SEQUENCE, then by LAST-MODIFIED or
// REV: the result is that of cmp.Compare. It knows only where both carry enough
// to tell.
func Newer(a, b Info) (order int, known bool) {
	if a.Sequence >= 0 && b.Sequence >= 0 && a.Sequence != b.Sequence {
		return cmp.Compare(a.Sequence, b.Sequence), true
	}
	if a.Modified != 0 && b.Modified != 0 && a.Modified != b.Modified {
		return cmp.Compare(a.Modified, b.Modified), true
	}
	return 0, false
}

// Takes tells whether a collection that takes these components takes an item;
// nil takes all. An item in which none can be made out is taken, so that what is
// wrong with it comes to light.
func Takes(components []string, i Info) bool {
	if components == nil {
		return true
	}
	for _, c := range i.Components {
		if !slices.Contains(components, c) {
			return false
		}
	}
	return true
}

// A Copy is one member's copy of an item.
type Copy struct {
	Mark []byte // what the member held when it was last in step; nil if it has no mark
	Text []byte // what it holds now; nil if it is gone
}
