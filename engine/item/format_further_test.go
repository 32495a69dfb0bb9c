//go:build real && further

package item_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/item/itemtest"
)

// unknownToEz are sayings that ez-vcard does not know in one of the versions, or
// finds wrong: it takes the first type of a logo for its media type and has no
// short names of media, no date in words or without a year in version 3, no agent
// elsewhere; CLASS is to be left out, and a label must not hold quotes.
var unknownToEz = []string{"a logo at home", "a drawing", "a certificate", "a birthday in words", "a birthday without a year", "a member",
	"an agent elsewhere", "what version 4 has no name for", "a label", "the order of a name"}

// What ez-vcard, a library for both versions, reads in a card and in what we made
// of it in the other version is the same, and no less valid.
func TestFurtherEzVcardReadsTheSameInBothVersions(t *testing.T) {
	const seed, jars = 31, "/usr/share/java/ez-vcard.jar:/usr/share/java/vinnie.jar"
	dir := t.TempDir()
	var cards [][]byte
	add := func(text []byte) {
		for _, c := range [][]byte{text, item.As(text, other(text), nil)} {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(len(cards))), c, 0o600); err != nil {
				t.Fatal(err)
			}
			cards = append(cards, c)
		}
	}
	for _, c := range itemtest.Gen(seed, 300, engine.AddressBook) {
		add(c.Text)
	}
	for _, s := range sayings {
		if slices.Contains(unknownToEz, s.what) {
			continue
		}
		add(vcard("3.0", "FN:A", "N:Smith;A;;;", s.v3))
		add(vcard("4.0", "FN:A", "N:Smith;A;;;", s.v4))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "java", "-cp", jars, "testdata/Cards.java", dir, fmt.Sprint(len(cards))).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	read := func(n int, what string) string { return string(readAll(t, filepath.Join(dir, fmt.Sprint(n)+what))) }
	for n := 0; n < len(cards); n += 2 {
		if was, is := read(n, ".wrong"), read(n+1, ".wrong"); was == "" && is != "" && !strings.Contains(is, "W09") { // a type that only version 3 lists
			t.Errorf("seed %d card %d: what was valid is not any more: %s\n%s", seed, n/2, is, cards[n+1])
		}
		if was, is := spoken(read(n, ".v3")), spoken(read(n+1, ".v3")); was != is {
			t.Errorf("seed %d card %d: it was\n%s\nand is\n%s\nof\n%s", seed, n/2, was, is, cards[n+1])
		}
	}
}

func other(text []byte) string {
	if item.Format(text) == engine.VCard3 {
		return engine.VCard4
	}
	return engine.VCard3
}

// spoken is what ez-vcard makes of a card, sorted, without what it does not know
// by both names: KIND and MEMBER, GENDER, ANNIVERSARY, and what is preferred.
func spoken(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n ", ""), "\r\n")
	for i, line := range lines {
		head, value, _ := strings.Cut(line, ":")
		for _, plain := range [...]string{"X-ADDRESSBOOKSERVER-", "X-", ";TYPE=pref", ",pref", ";PREF=1"} {
			head = strings.ReplaceAll(head, plain, "")
		}
		lines[i] = head + ":" + value
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
