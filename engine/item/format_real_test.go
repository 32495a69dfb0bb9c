//go:build real

package item_test

import (
	"context"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/item/itemtest"
)

// readVobject prints, for each card of a list in JSON, what vobject finds in it.
const readVobject = `
import base64, json, sys, vobject
for text in json.load(sys.stdin):
    card = vobject.readOne(text)
    card.validate(raiseException=True)
    says = []
    for name in card.contents:
        for line in card.contents[name]:
            value = base64.b64encode(line.value).decode() if isinstance(line.value, bytes) else str(line.value)
            params = sorted((k, sorted(v)) for k, v in line.params.items())
            says.append([line.group or "", name, params, value])
    print(json.dumps(sorted(says, key=str)))
`

func vobject(t *testing.T, cards []string) []string {
	t.Helper()
	in, err := json.Marshal(cards)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", "-c", readVobject)
	cmd.Stdin = strings.NewReader(string(in))
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// What we make of a card of version 4 is a card of version 3 for python3-vobject,
// and one of version 3 that was in version 4 says what it did.
func TestVobjectReadsTheSameInACardThatWasInTheOtherVersion(t *testing.T) {
	const seed = 32
	var first, back []string
	for _, c := range itemtest.Gen(seed, 200, engine.AddressBook) {
		v3 := item.As(c.Text, engine.VCard3, nil)
		first = append(first, string(v3))
		back = append(back, string(item.As(item.As(v3, engine.VCard4, nil), engine.VCard3, nil)))
	}
	for _, s := range sayings {
		name := "N:Smith;A;;;"
		if strings.HasPrefix(s.v3, "N:") {
			name = "NOTE:."
		}
		first = append(first, string(vcard("3.0", "FN:A", name, s.v3)))
		back = append(back, string(item.As(vcard("4.0", "FN:A", name, s.v4), engine.VCard3, nil)))
	}
	read := vobject(t, slices.Concat(first, back))
	if len(read) != 2*len(first) {
		t.Fatalf("vobject read %d of %d cards", len(read), 2*len(first))
	}
	// It keeps REV as it is written, and that a type is preferred by any of its cases.
	for n := range first {
		if was, is := strings.ToLower(read[n]), strings.ToLower(read[len(first)+n]); was != is {
			t.Errorf("seed %d card %d: it said\n%s\nand says\n%s\nin\n%s", seed, n, was, is, back[n])
		}
	}
}
