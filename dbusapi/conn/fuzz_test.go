package conn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"
)

// FuzzFramer feeds the framer any bytes with descriptors among them: it never
// panics, gives back no more than it got, and every descriptor is closed.
func FuzzFramer(f *testing.F) {
	m := callMessage("t", map[string]dbus.Variant{"k": dbus.MakeVariant([]string{"v"})})
	m.Headers[dbus.FieldUnixFDs] = dbus.MakeVariant(uint32(2))
	frame := encode(f, binary.LittleEndian, 1, m)
	f.Add(frame, uint8(3), uint8(0))
	f.Add(append(bytes.Clone(frame), frame...), uint8(200), uint8(9))
	f.Add(encode(f, binary.BigEndian, 1, m), uint8(1), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, piece, at uint8) {
		fds := nullFiles(t, 2)
		where := min(int(at), max(len(data)-1, 0))
		src := &cut{data: data, next: func() int { return int(piece) }, fds: map[int][]int{where: fds}}
		if len(data) == 0 {
			src.fds = nil
		}
		fr := &framer{from: src, max: 4096}
		for {
			m, err := fr.next()
			if _, one := errors.AsType[*dropped](err); one && !endsStream(err) {
				continue
			}
			if err != nil {
				break
			}
			m.Body()
			m.Close()
		}
		fr.closeAll()
		for _, fd := range fds {
			err := syscall.Close(fd)
			if given := src.pos > where && src.fds != nil; given && err == nil {
				t.Error("a descriptor was left open")
			}
		}
	})
}

// FuzzDecode: what passes the check is decoded, and what does not is refused,
// without a panic and without an endless loop.
func FuzzDecode(f *testing.F) {
	for _, body := range [][]any{
		{"a", uint32(1)}, {[]string{"x", "y"}}, {map[string]dbus.Variant{"k": dbus.MakeVariant(int32(-1))}},
		{[]struct{ A, B, C string }{{"1", "2", "3"}}}, {[]dbus.UnixFDIndex{1}}, {[]map[string]dbus.Variant{{}, nil}},
		{true, byte(1), int16(2), uint16(3), int64(4), uint64(5), 6.5, dbus.ObjectPath("/a"), dbus.ParseSignatureMust("a(sv)")},
		{map[uint32]map[string][]uint64{1: {"a": {1}}}}, {dbus.MakeVariant(dbus.MakeVariant(dbus.MakeVariant("deep")))},
	} {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			frame := encode(f, order, 1, callMessage(body...))
			p, err := readPrefix(frame)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(order == binary.BigEndian, dbus.SignatureOf(body...).String(), frame[p.headLen():])
		}
	}
	f.Add(false, "a()", []byte{8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(false, "a{vs}", []byte{8, 0, 0, 0, 0, 0, 0, 0, 1, 'y', 0, 1, 0, 0, 0, 0, 0})
	f.Add(false, strings.Repeat("a", 40)+"y", []byte{0, 0, 0, 0})
	f.Add(false, strings.Repeat("(", 40)+"y"+strings.Repeat(")", 40), []byte{1})
	f.Add(false, "v", bytes.Repeat([]byte{1, 'v', 0}, 70))
	f.Fuzz(func(t *testing.T, big bool, sig string, body []byte) {
		var order binary.ByteOrder = binary.LittleEndian
		if big {
			order = binary.BigEndian
		}
		values, err := decode(order, sig, body)
		w := walker{order: order, b: body, strict: true}
		if sig != "" && checkSignature(sig) == nil && w.values(sig, 0) == nil && w.pos == len(body) {
			if err != nil && strings.Count(sig, "a")+strings.Count(sig, "(") < 32 && !bytes.ContainsAny(body, "a(") {
				t.Errorf("%q passed the check and not the decoder: %v", sig, err)
			}
			return
		}
		if err == nil && sig != "" {
			t.Errorf("%q did not pass the check and was decoded: %v", sig, values)
		}
	})
}
