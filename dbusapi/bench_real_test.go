//go:build real

package dbusapi

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/engine"
)

// A plain client reads messages as bytes and decodes nothing, so that what is
// measured is the service and the bus.
type plainClient struct {
	b      *testing.B
	socket net.Conn
	in     *bufio.Reader
	name   string
	serial uint32
}

func newPlainClient(b *testing.B, address string) *plainClient {
	b.Helper()
	path, _, _ := strings.Cut(strings.TrimPrefix(address, "unix:path="), ",")
	socket, err := net.Dial("unix", path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { socket.Close() })
	c := &plainClient{b: b, socket: socket, in: bufio.NewReaderSize(socket, 1<<20)}
	fmt.Fprintf(socket, "\x00AUTH EXTERNAL %x\r\n", strconv.Itoa(os.Geteuid()))
	if line, err := c.in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "OK ") {
		b.Fatalf("the bus refuses: %q %v", line, err)
	}
	io.WriteString(socket, "BEGIN\r\n")
	c.send("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
	for c.name == "" {
		if m, err := dbus.DecodeMessage(bytes.NewReader(c.next())); err == nil && m.Type == dbus.TypeMethodReply {
			c.name = m.Body[0].(string)
		}
	}
	return c
}

func (c *plainClient) send(dest string, path dbus.ObjectPath, iface, member string) {
	c.b.Helper()
	c.serial++
	m := &dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(dest), dbus.FieldPath: dbus.MakeVariant(path),
		dbus.FieldInterface: dbus.MakeVariant(iface), dbus.FieldMember: dbus.MakeVariant(member),
	}}
	var frame bytes.Buffer
	if err := m.EncodeTo(&frame, binary.LittleEndian); err != nil {
		c.b.Fatal(err)
	}
	binary.LittleEndian.PutUint32(frame.Bytes()[8:], c.serial)
	if _, err := c.socket.Write(frame.Bytes()); err != nil {
		c.b.Fatal(err)
	}
}

// next reads one message.
func (c *plainClient) next() []byte {
	c.b.Helper()
	head, err := c.in.Peek(16)
	if err != nil {
		c.b.Fatal(err)
	}
	body, fields := int(binary.LittleEndian.Uint32(head[4:])), int(binary.LittleEndian.Uint32(head[12:]))
	frame := make([]byte, 16+(fields+7)/8*8+body)
	if _, err := io.ReadFull(c.in, frame); err != nil {
		c.b.Fatal(err)
	}
	return frame
}

// large calls a method and takes the time until a long message comes.
func (c *plainClient) large(dest string, path dbus.ObjectPath, iface, member string) (time.Duration, []byte) {
	c.b.Helper()
	start := time.Now()
	c.send(dest, path, iface, member)
	for {
		if frame := c.next(); len(frame) > 1<<19 {
			return time.Since(start), frame
		}
	}
}

// A copier answers every call with the same bytes, made beforehand: what is left
// is the bus's copy.
type copier struct {
	frame []byte
}

func (p *copier) HandleCall(c *conn.Conn, m *conn.Incoming) {
	m.Close()
	c.Write(p.frame, nil, nil)
}

func middle(list []time.Duration) time.Duration {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// BenchmarkVerdictManagedObjects asks a real bus for a tree of 5,000 objects. The
// floor is what the library needs to write the same answer, and the bus to carry
// the same bytes, measured turn about in the same run.
func BenchmarkVerdictManagedObjects(b *testing.B) {
	const objects, most = 5000, 1.5
	address := bustest.Daemon(b)
	host := newFakeHost()
	for n := range objects { // besides the few that are there
		id := engine.MemberID(fmt.Sprintf("work/c%d", n))
		host.state.Collections[id] = collectionState(id)
	}
	onBusAt(b, address, host)
	client := newPlainClient(b, address)
	const manager, get = "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"
	_, frame := client.large(BusName, Root, manager, get)
	answer, err := dbus.DecodeMessage(bytes.NewReader(frame))
	if err != nil {
		b.Fatal(err)
	}
	if n := len(answer.Body[0].(map[dbus.ObjectPath]map[string]map[string]dbus.Variant)); n < objects {
		b.Fatalf("the tree has only %d objects", n)
	}
	copying := &copier{}
	peer, err := conn.Dial(b.Context(), address, conn.Options{Handler: copying})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(peer.Close)
	copying.frame, err = peer.Encode(&dbus.Message{Type: dbus.TypeSignal, Body: answer.Body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(client.name), dbus.FieldPath: dbus.MakeVariant(Root), dbus.FieldSignature: answer.Headers[dbus.FieldSignature],
		dbus.FieldInterface: dbus.MakeVariant(manager), dbus.FieldMember: dbus.MakeVariant(get),
	}}, 0)
	if err != nil {
		b.Fatal(err)
	}
	var answers, copies, encodings []time.Duration
	round := func() {
		took, _ := client.large(BusName, Root, manager, get)
		answers = append(answers, took)
		took, _ = client.large(peer.Name(), "/", "a.b", "Copy")
		copies = append(copies, took)
		start := time.Now()
		if err := answer.EncodeTo(&bytes.Buffer{}, binary.LittleEndian); err != nil {
			b.Fatal(err)
		}
		encodings = append(encodings, time.Since(start))
	}
	for range 15 { // so many are needed for a middle, however short the time
		round()
	}
	for b.Loop() {
		round()
	}
	floor := middle(encodings) + middle(copies)
	ratio := float64(middle(answers)) / float64(floor)
	fmt.Printf("\nverdict: GetManagedObjects, %d objects, %d KiB: %v; bare encoding %v + the bus's copy %v: %.2f of at most %.1f\n",
		objects, len(frame)>>10, middle(answers), middle(encodings), middle(copies), ratio, most)
	b.ReportMetric(ratio, "x-floor")
	if ratio > most {
		b.Errorf("%.2f times the floor, and %.1f is the most", ratio, most)
	}
}
