// Package itemtest makes items to test with: realistic ones by the thousand from
// a seed, edits of them as people make them, and a corpus of hard ones.
package itemtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode/utf8"

	"davbus.org/davbus/engine"
)

// An Item is one generated item.
type Item struct {
	UID  engine.UID
	Text []byte
}

// Gen makes n items for a collection of a kind: events, tasks and journals, or
// cards and groups of cards. The same arguments give the same items, and more of
// them begin with the same.
func Gen(seed uint64, n int, kind string) []Item {
	g := &gen{rng: rand.New(rand.NewPCG(seed, 0x6461766275730000))}
	items := make([]Item, n)
	for i := range items {
		if kind == engine.AddressBook {
			items[i] = g.card()
		} else {
			items[i] = g.calendar()
		}
	}
	return items
}

// gen writes one item after the other.
type gen struct {
	rng   *rand.Rand
	out   strings.Builder
	known []string // UIDs of cards
}

// line writes one line, folded as programs fold: at 75 octets, no character cut.
func (g *gen) line(format string, args ...any) {
	s := format
	if len(args) > 0 {
		s = fmt.Sprintf(format, args...)
	}
	g.out.WriteString(fold(s))
}

func fold(s string) string {
	var out strings.Builder
	for room := 75; len(s) > room; room = 74 {
		cut := room
		for !utf8.RuneStart(s[cut]) {
			cut--
		}
		out.WriteString(s[:cut] + "\r\n ")
		s = s[cut:]
	}
	return out.String() + s + "\r\n"
}

// done takes what was written.
func (g *gen) done(uid string) Item {
	text := []byte(g.out.String())
	g.out.Reset()
	return Item{engine.UID(uid), text}
}

func (g *gen) one(of ...string) string { return of[g.rng.IntN(len(of))] }

func (g *gen) chance(percent int) bool { return g.rng.IntN(100) < percent }

func (g *gen) uuid() string {
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", g.rng.Uint32(), g.rng.IntN(1<<16), g.rng.IntN(1<<12),
		0x8000|g.rng.IntN(1<<14), g.rng.Uint64()>>16)
}

// text is some words, escaped as TEXT.
func (g *gen) text(words int) string {
	var out []string
	for range words {
		w := vocabulary[g.rng.IntN(len(vocabulary))]
		switch g.rng.IntN(24) {
		case 0:
			w += `\,`
		case 1:
			w += `.\n`
		case 2:
			w += `\;`
		}
		out = append(out, w)
	}
	return strings.Join(out, " ")
}

func (g *gen) name() string {
	return given[g.rng.IntN(len(given))] + " " + family[g.rng.IntN(len(family))]
}

func (g *gen) mail() string { return fmt.Sprintf("user%d@example.org", g.rng.IntN(10000)) }

// base64 is what a picture of so many bytes looks like.
func (g *gen) base64(size int) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	out := make([]byte, (size+2)/3*4)
	for i := range out {
		out[i] = digits[g.rng.IntN(64)]
	}
	return "/9j/" + string(out)
}

var (
	vocabulary = strings.Fields("meeting review budget plan lunch call with the team about next quarter project release " +
		"Überraschung naïve coöperation déjà vu notes follow-up agenda customer Zürich 東京 встреча invoice train ticket " +
		"dentist birthday école garden paint kitchen school parents evening choir rehearsal flight hotel check-in passport 🎉")
	given  = strings.Fields("Anna Jürgen Marie-Ève Paweł Søren Yuki 王 Ольга Zoë Ivan Fatima Noor Giulia Liam Siobhán Łukasz Priya Tamás")
	family = strings.Fields("Müller Smith O'Brien Nowak Sørensen 小明 Петрова Ng Al-Sayed Rossi Żółć Kaya Silva Patel Szabó Dubois Li")
)
