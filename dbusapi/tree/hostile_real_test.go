//go:build real

package tree_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/conn"
)

// A hostile is a client that sends what nobody should.
type hostile struct {
	t       *testing.T
	c       *conn.Conn
	address string
}

// send sends one call with some descriptors and gives the name of the error.
func (h *hostile) send(member string, files int, body ...any) string {
	h.t.Helper()
	args := make([]any, 0, len(body)+files)
	args = append(args, body...)
	var extra []*os.File
	for range files {
		f, err := os.Open(os.DevNull)
		if err != nil {
			h.t.Fatal(err)
		}
		extra = append(extra, f)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	_, err := h.c.CallWithFiles(ctx, name, root+"/a", iface+"."+member, extra, args...)
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[dbus.Error](err)
	if !ok {
		h.t.Fatalf("%s with %d files and %T: %v", member, files, body, err)
	}
	return e.Name
}

func TestAHostileClientOnARealBus(t *testing.T) { beHostile(t, bustest.Daemon(t)) }

func beHostile(t *testing.T, address string) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // nothing is closed by accident
	tr := newTree(t)
	service := onBusAt(t, address, tr, newItem("x"))
	h := &hostile{t, dial(t, address, conn.Options{MaxSend: 64 << 20}), address}
	polite := dial(t, address, conn.Options{})
	still := func(what string) {
		t.Helper()
		if _, err := polite.Call(t.Context(), name, root+"/a", iface+".Echo", "x", map[string]dbus.Variant{}); err != nil || service.Err() != nil {
			t.Fatal("after ", what, ": ", err, service.Err())
		}
	}
	still("nothing")
	before := countFiles(t)
	sent := 0
	for round := range 12 {
		for _, body := range []any{
			[]dbus.UnixFDIndex{0}, map[string]dbus.UnixFDIndex{"a": 0}, dbus.UnixFDIndex(0), dbus.MakeVariant(dbus.UnixFDIndex(0)),
			map[string]dbus.Variant{"k": dbus.MakeVariant([]dbus.UnixFDIndex{0, 1})}, []struct{ F dbus.UnixFDIndex }{{0}}, [][]dbus.UnixFDIndex{{0}},
		} {
			for _, member := range []string{"Read", "Finish", "Echo", "Nope", "Open"} {
				files := 1 + (round*5+sent)%16
				if _, one := body.(dbus.UnixFDIndex); one && member == "Read" {
					files = 2 + round%14
				}
				want := std + "Error.InvalidArgs"
				if got := h.send(member, files, body); got != want {
					t.Errorf("%s with %d files and %T: %q", member, files, body, got)
				}
				sent += files
			}
		}
	}
	still("descriptors")
	if sent < 1000 {
		t.Errorf("only %d descriptors", sent)
	}
	if got := h.send("Read", 1, dbus.UnixFDIndex(0)); got != "" {
		t.Errorf("the right descriptor: %q", got)
	}
	waitFor(t, "all are closed", func() bool { return countFiles(t) <= before })
	h.lengths(still)
	h.depths(still)
	h.flags(still)
	h.faults()
	h.vanishing(service)
	still("all")
	waitFor(t, "all are closed", func() bool { return countFiles(t) <= before+2 }) // h dialled anew: two ends more
	if n := tr.InFlight(); n > 1 {
		t.Errorf("%d calls are left", n)
	}
}

// lengths sends what is too long, and finds the memory as it was.
func (h *hostile) lengths(still func(string)) {
	t := h.t
	memory := func() uint64 {
		var m runtime.MemStats
		debug.FreeOSMemory()
		runtime.ReadMemStats(&m)
		return m.HeapInuse
	}
	options := map[string]dbus.Variant{}
	if got := h.send("Echo", 0, strings.Repeat("x", 1<<20-1000), options); got != "" {
		t.Errorf("almost a MiB: %q", got)
	}
	before := memory()
	for _, n := range []int{1 << 20, 3 << 20, 30 << 20} {
		if got := h.send("Echo", 0, strings.Repeat("x", n), options); got != std+"Error.LimitsExceeded" {
			t.Errorf("%d bytes: %q", n, got)
		}
		if got := h.send("Read", 3, strings.Repeat("x", n)); got != std+"Error.LimitsExceeded" {
			t.Errorf("%d bytes and files: %q", n, got)
		}
		still(fmt.Sprint(n, " bytes"))
	}
	if after := memory(); after > before+4<<20 {
		t.Errorf("memory grew from %d to %d", before, after)
	}
}

// depths sends what is nested as deeply as the bus lets through, and deeper.
func (h *hostile) depths(still func(string)) {
	for _, n := range []int{1, 20, 31, 32, 40, 55, 60, 61} {
		frame, err := h.c.Encode(toItem("Echo", "x", map[string]dbus.Variant{}), 0)
		if err != nil {
			h.t.Fatal(err)
		}
		// "x", one entry "k", and variants in variants around a byte; the library
		// does not write that deep.
		body := append([]byte("\x01\x00\x00\x00x\x00\x00\x00"), make([]byte, 8)...)
		body = append(body, "\x01\x00\x00\x00k\x00"...)
		body = append(body, strings.Repeat("\x01v\x00", n-1)+"\x01y\x00\x07"...)
		binary.LittleEndian.PutUint32(body[8:], uint32(len(body)-16))
		head := frame[:len(frame)-16]
		binary.LittleEndian.PutUint32(head[4:], uint32(len(body)))
		h.c.Write(append(head, body...), nil, nil)
		if err := h.c.Flush(h.t.Context()); err != nil {
			h.t.Fatal(n, " deep, and the bus has had enough: ", err)
		}
		still(fmt.Sprint("depth ", n))
	}
}

// flags sets every flag that there is, and those that there are not, but the one that
// wants no answer.
func (h *hostile) flags(still func(string)) {
	frame, err := h.c.Encode(toItem("Finish"), 0)
	if err != nil {
		h.t.Fatal(err)
	}
	frame[2] = 0xfe
	h.c.Write(frame, nil, nil)
	if err := h.c.Flush(h.t.Context()); err != nil {
		h.t.Fatal("flags that nobody knows, and the bus has had enough: ", err)
	}
	still("flags")
}

// faults are wrong types and wrong members.
func (h *hostile) faults() {
	for want, calls := range map[string][][]any{
		std + "Error.InvalidArgs":   {{"Echo"}, {"Echo", "x"}, {"Echo", uint32(1), "x"}, {"Echo", "x", map[string]string{}}, {"Finish", "x"}, {"Note", int32(1)}, {"Read", uint32(0)}, {"Note", []byte{1}}},
		std + "Error.UnknownMethod": {{"Nope"}, {"finish"}, {"GetAll"}, {strings.Repeat("x", 255)}},
	} {
		for _, c := range calls {
			if got := h.send(c[0].(string), 0, c[1:]...); got != want {
				h.t.Errorf("%v: %q, not %q", c, got, want)
			}
		}
	}
}

// vanishing leaves the bus with calls under way, again and again.
func (h *hostile) vanishing(service *conn.Conn) {
	for range 20 {
		c, err := conn.Dial(h.t.Context(), h.address, conn.Options{})
		if err != nil {
			h.t.Fatal(err)
		}
		for range 50 {
			f, err := os.Open(os.DevNull)
			if err != nil {
				h.t.Fatal(err)
			}
			frame, err := c.Encode(toItem("Read", dbus.UnixFDIndex(0)), 1)
			if err != nil {
				h.t.Fatal(err)
			}
			c.Write(frame, []*os.File{f}, nil)
		}
		c.Close()
	}
	if service.Err() != nil {
		h.t.Error(service.Err())
	}
}
