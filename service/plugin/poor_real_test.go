//go:build real

package plugin_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/engine/storage/remote"
	child "davbus.org/davbus/transports/plugin"
)

// The example in Python keeps names, addresses and numbers in a CSV file and says
// so. Whatever is edited on either side: nothing else is ever lost on the other.
func TestAPluginThatKeepsThreePropertiesErasesNoOther(t *testing.T) {
	program, err := filepath.Abs("../../data/examples/plugins/contacts-csv.py")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "contacts.csv")
	csv := remote.New(remote.Options{Account: "csv", Host: host{}, Params: engine.Params{"path": path}, Dial: func(_ context.Context, to *remote.Source) (remote.Caller, error) {
		return child.Start(child.Options{Notify: to.Notify, Handle: to.Handle, Argv: []string{program}, Env: append(os.Environ(), "DAVBUS_PLUGIN=1")})
	}})
	t.Cleanup(func() { csv.Close() })
	found, err := csv.Look(t.Context(), true)
	if err != nil || strings.Join(found[0].Properties, " ") != "FN EMAIL TEL" {
		t.Fatalf("%+v, %v", found, err)
	}
	kept, err := csv.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.OpenMemory(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	rich := new(memory.Storage)
	s := &set{t: t, ledger: l, kind: engine.AddressBook, members: []group.Member{
		{ID: "csv/contacts", Identity: found[0].Identity, Storage: kept, Properties: found[0].Properties},
		{ID: "rich/contacts", Identity: "rich", Storage: rich},
	}}

	// The same contact is in both already, each as it can keep it.
	card := "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:ann\r\nN:Ann;;;;\r\nFN:Ann\r\nEMAIL:a@example.org\r\nTEL:1\r\nNOTE:keep me\r\nX-OWN:yes\r\nEND:VCARD\r\n"
	if err := os.WriteFile(path, []byte("uid,name,email,phone\nann,Ann,a@example.org,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rich.Put("ann", []byte(card))
	s.sync()
	if got := rich.Texts()["ann"]; got != card || rich.Counts().Writes() > 0 {
		t.Fatalf("after the first sync, %+v:\n%s", rich.Counts(), got)
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	phone, note := "1", "keep me"
	for step := range 12 {
		next := string('a' + rune(step))
		if r.IntN(2) == 0 {
			text := strings.Replace(rich.Texts()["ann"], "NOTE:"+note, "NOTE:"+next, 1)
			rich.Put("ann", []byte(text))
			note = next
		}
		if r.IntN(2) == 0 {
			file, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, []byte(strings.Replace(string(file), "org,"+phone, "org,"+next, 1)), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			phone = next
		}
		s.sync()
		want := strings.NewReplacer("NOTE:keep me", "NOTE:"+note, "TEL:1", "TEL:"+phone).Replace(card)
		if got := rich.Texts()["ann"]; got != want {
			t.Fatalf("seed %d step %d: got\n%s\nwant\n%s", seed, step, got, want)
		}
		if file, err := os.ReadFile(path); err != nil || !strings.Contains(string(file), "ann,Ann,a@example.org,"+phone) {
			t.Fatalf("seed %d step %d: %s, %v", seed, step, file, err)
		}
	}
}
