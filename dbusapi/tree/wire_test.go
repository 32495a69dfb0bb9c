package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// randomValue draws a value of any type that properties have.
func randomValue(r *rand.Rand, depth int) any {
	text := func() string { return "äb\n\x01text"[:r.IntN(3)*2] + fmt.Sprint(r.Uint32()) }
	switch n := r.IntN(10); {
	case n == 0:
		return text()
	case n == 1:
		return dbus.ObjectPath("/a/" + fmt.Sprint(r.IntN(1000)))
	case n == 2:
		return r.IntN(2) == 0
	case n == 3:
		return r.Uint32()
	case n == 4:
		return int32(r.Uint32())
	case n == 5:
		return r.Uint64()
	case n == 6:
		return make([]dbus.ObjectPath, 0)
	case n == 7:
		return append([]string{}, []string{text(), "", text()}[:r.IntN(4)]...)
	case n == 8 && depth > 0:
		return []map[string]dbus.Variant{randomValues(r, depth-1), randomValues(r, depth-1)}
	case depth > 0:
		return randomValues(r, depth-1)
	}
	return []dbus.ObjectPath{"/", "/x"}
}

func randomValues(r *rand.Rand, depth int) map[string]dbus.Variant {
	out := map[string]dbus.Variant{}
	for range r.IntN(5) {
		out["k"+fmt.Sprint(r.IntN(100000))] = dbus.MakeVariant(randomValue(r, depth))
	}
	return out
}

// What we write of a tree, the library reads as that tree.
func TestATreeWrittenByUsIsTheTreeThatTheLibraryReads(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 3))
	for round := range 300 {
		all := treeOf{}
		for n := range r.IntN(6) {
			all[dbus.ObjectPath(fmt.Sprintf("/a/b%d", n))] = map[string]map[string]dbus.Variant{"a.B": randomValues(r, 2), "a.Bcdefg": randomValues(r, 1)}
		}
		body, ok := writeTree(all)
		if !ok {
			t.Fatalf("seed %d, round %d: refused", seed, round)
		}
		m := &dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldReplySerial: dbus.MakeVariant(uint32(1)), dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(all)),
		}}
		var frame bytes.Buffer
		if err := m.EncodeTo(&frame, binary.LittleEndian); err != nil {
			t.Fatal(err)
		}
		binary.LittleEndian.PutUint32(frame.Bytes()[4:], uint32(len(body)))
		frame.Write(body)
		read, err := dbus.DecodeMessage(&frame)
		if err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
		if got := read.Body[0]; !reflect.DeepEqual(got, all) {
			t.Fatalf("seed %d, round %d:\n%v\nis read as\n%v", seed, round, all, got)
		}
	}
	if got := dbus.SignatureOf(treeOf{}).String(); got != treeSignature {
		t.Errorf("a tree is %s", got)
	}
	strange := treeOf{"/a": {"a.B": {"K": dbus.MakeVariant(1.5)}}}
	if _, ok := writeTree(strange); ok {
		t.Error("a type is taken that is not written")
	}
}
