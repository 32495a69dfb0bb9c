package conn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// A cut is bytes that come in pieces, with descriptors before some of them.
type cut struct {
	data []byte
	next func() int // length of the next piece
	fds  map[int][]int
	pos  int
}

func (c *cut) recv(p []byte) (int, []int, error) {
	if c.pos == len(c.data) {
		return 0, nil, nil
	}
	n := min(len(p), max(1, c.next()), len(c.data)-c.pos)
	var fds []int
	for at := c.pos; at < c.pos+n; at++ {
		if some := c.fds[at]; some != nil {
			if fds != nil { // the kernel ends a read before the next descriptors
				n = at - c.pos
				break
			}
			fds = some
		}
	}
	copy(p, c.data[c.pos:c.pos+n])
	c.pos += n
	return n, fds, nil
}

func nullFiles(t testing.TB, n int) (fds []int) {
	for range n {
		fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
	}
	return fds
}

func TestAMessageIsTheSameHoweverItIsCut(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	rnd := rand.New(rand.NewPCG(seed, 1))
	body := []any{"a", []string{"b", "c"}, map[string]dbus.Variant{"k": dbus.MakeVariant(uint64(7))}, uint32(9)}
	var data []byte
	fds := map[int][]int{}
	for i := range 30 {
		order := []binary.ByteOrder{binary.LittleEndian, binary.BigEndian}[i%2]
		m := callMessage(body...)
		if i%3 == 0 {
			fds[len(data)] = nullFiles(t, i%5)
			m.Headers[dbus.FieldUnixFDs] = dbus.MakeVariant(uint32(i % 5))
		}
		data = append(data, encode(t, order, uint32(i+1), m)...)
	}
	f := &framer{from: &cut{data: data, fds: fds, next: func() int { return rnd.IntN(90) }}, max: 1 << 20}
	for i := range 30 {
		m, err := f.next()
		if err != nil {
			t.Fatal(i, err)
		}
		got, err := m.Body()
		if err != nil || !reflect.DeepEqual(got, body) || m.Serial != uint32(i+1) || m.Sender != ":1.5" || m.Path != "/x" || m.Member != "Do" {
			t.Fatalf("message %d: %+v %v %v", i, m, got, err)
		}
		if want := map[bool]int{true: i % 5}[i%3 == 0]; len(m.Files) != want {
			t.Fatalf("message %d has %d files, not %d", i, len(m.Files), want)
		}
		m.Close()
	}
	if _, err := f.next(); err != io.EOF {
		t.Error(err)
	}
}

func TestTooLongIsRefusedUnbuffered(t *testing.T) {
	const most = 1 << 16
	x, y := sockets(t)
	c := New(x, true, Options{MaxMessage: most, Handler: echo(t)})
	defer c.Close()
	length := func(n int) []byte {
		empty := len(encode(t, binary.LittleEndian, 1, callMessage("")))
		return encode(t, binary.LittleEndian, uint32(n), callMessage(strings.Repeat("x", n-empty)))
	}
	answers := &framer{from: newSocketSource(y), max: 1 << 27}
	ask := func(frame []byte) *Incoming {
		wrote := make(chan error, 1)
		go func() { _, err := y.Write(frame); wrote <- err }()
		m, err := answers.next()
		if err != nil {
			t.Fatal(err)
		}
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := ask(length(most)); m.Type != dbus.TypeMethodReply {
		t.Errorf("the longest message: %+v", m)
	}
	if m := ask(length(most + 1)); m.ErrorName != "org.freedesktop.DBus.Error.LimitsExceeded" || m.ReplySerial != most+1 {
		t.Errorf("one byte more: %+v", m)
	}
	huge := length(12 << 20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if m := ask(huge); m.ErrorName != "org.freedesktop.DBus.Error.LimitsExceeded" {
		t.Errorf("12 MiB: %+v", m)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
	if m := ask(length(most)); m.Type != dbus.TypeMethodReply {
		t.Errorf("the connection suffered: %+v", m)
	}
}

func TestAHugeHeaderIsPassedOverWithItsDescriptors(t *testing.T) {
	giant := callMessage("t")
	giant.Headers[dbus.FieldPath] = dbus.MakeVariant(dbus.ObjectPath("/" + strings.Repeat("x", 1<<20)))
	giant.Headers[dbus.FieldUnixFDs] = dbus.MakeVariant(uint32(3))
	first := encode(t, binary.LittleEndian, 1, giant)
	second := callMessage("t")
	second.Headers[dbus.FieldUnixFDs] = dbus.MakeVariant(uint32(1))
	data := append(first, encode(t, binary.LittleEndian, 2, second)...)
	a, b := nullFiles(t, 3), nullFiles(t, 1)
	f := &framer{from: &cut{data: data, next: func() int { return 5000 }, fds: map[int][]int{0: a, len(first): b}}, max: 1 << 20}
	if _, err := f.next(); err == nil || endsStream(err) {
		t.Fatal(err)
	}
	for _, fd := range a {
		if err := syscall.Close(fd); err == nil {
			t.Error("a descriptor was left open")
		}
	}
	m, err := f.next()
	if err != nil || m.Serial != 2 || len(m.Files) != 1 {
		t.Fatal(m, err)
	}
	if raw, _ := m.Files[0].SyscallConn(); raw.Control(func(fd uintptr) {
		if int(fd) != b[0] {
			t.Errorf("descriptor %d instead of %d", fd, b[0])
		}
	}) != nil {
		t.Error("closed")
	}
	m.Close()
}

func TestWhatIsUnknownInAHeaderIsPassedOver(t *testing.T) {
	frame := encode(t, binary.LittleEndian, 9, callMessage("t"))
	// One more field, code 77, holding an array of structs, put before the others.
	extra := append([]byte{77, 5}, "a(sv)\x00"...)
	extra = append(extra, 0, 0, 0, 0, 0, 0, 0, 0) // padding and length 0
	for len(extra)%8 != 0 {
		extra = append(extra, 0)
	}
	fields := binary.LittleEndian.Uint32(frame[12:])
	long := append(append(append([]byte{}, frame[:16]...), extra...), frame[16:]...)
	binary.LittleEndian.PutUint32(long[12:], fields+uint32(len(extra)))
	long[2] = 0xf1 // flags of the future, and that no reply is wanted
	f := &framer{from: &cut{data: long, next: func() int { return 7 }}, max: 1 << 20}
	m, err := f.next()
	if err != nil {
		t.Fatal(err)
	}
	body, err := m.Body()
	if err != nil || m.Member != "Do" || m.WantsReply() || len(body) != 1 || body[0] != "t" {
		t.Errorf("%+v %v %v", m, body, err)
	}
}

func TestDescriptorsInContainersAreOnlyIndexes(t *testing.T) {
	for _, v := range []any{
		[]dbus.UnixFDIndex{0, 1}, map[string]dbus.UnixFDIndex{"a": 5}, dbus.MakeVariant([]dbus.UnixFDIndex{3}),
		[]struct{ F dbus.UnixFDIndex }{{1}}, map[string]dbus.Variant{"k": dbus.MakeVariant(dbus.UnixFDIndex(2))},
	} {
		f := &framer{from: &cut{data: encode(t, binary.LittleEndian, 1, callMessage(v)), next: func() int { return 100 }}, max: 1 << 20}
		m, err := f.next()
		if err != nil {
			t.Fatal(err)
		}
		if body, err := m.Body(); err != nil || len(body) != 1 {
			t.Errorf("%T: %v, %v", v, body, err)
		}
	}
}

func TestBrokenStreamsEnd(t *testing.T) {
	good := encode(t, binary.LittleEndian, 1, callMessage("t"))
	spoil := func(at int, b byte) []byte { x := bytes.Clone(good); x[at] = b; return x }
	promised := callMessage("t")
	promised.Headers[dbus.FieldUnixFDs] = dbus.MakeVariant(uint32(1))
	for name, data := range map[string][]byte{
		"byte order": spoil(0, 'x'), "version": spoil(3, 2), "body length": spoil(7, 0xff), "fields length": spoil(15, 0xff),
		"field type": spoil(18, 'u'), "no descriptor": encode(t, binary.LittleEndian, 1, promised), "cut off": good[:len(good)-1],
	} {
		f := &framer{from: &cut{data: data, next: func() int { return 100 }}, max: 1 << 20}
		m, err := f.next()
		if err == nil {
			t.Errorf("%s: read %+v", name, m)
		}
		if _, one := errors.AsType[*dropped](err); one && !endsStream(err) {
			t.Errorf("%s: goes on after %v", name, err)
		}
	}
}

func TestDepthHasALimit(t *testing.T) {
	deep := func(n int) []byte {
		return append(bytes.Repeat([]byte{1, 'v', 0}, n), 1, 'y', 0, 7)
	}
	if _, err := decode(binary.LittleEndian, "v", deep(maxDepthStrict-1)); err != nil {
		t.Error(err)
	}
	if _, err := decode(binary.LittleEndian, "v", deep(maxDepthStrict)); err == nil {
		t.Error("too deep was decoded")
	}
	for sig, ok := range map[string]bool{
		"a{sv}": true, "a(sss)": true, "(a{s(ai)})": true, "ah": true, "": true,
		"a": false, "()": false, "a()": false, "{sv}": false, "a{sv": false, "a{vs}": false, "a{s}": false, "a{ss": false, "a{sss}": false,
		"(s": false, "s)": false, "z": false, strings.Repeat("s", 255): true, strings.Repeat("s", 256): false,
	} {
		if err := checkSignature(sig); (err == nil) != ok {
			t.Errorf("%q: %v", sig, err)
		}
	}
}
