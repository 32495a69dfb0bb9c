//go:build real

package service

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
)

// signal waits for a signal of a stream.
func (d *rig) signal(f *client.Follower, path dbus.ObjectPath, member string) client.Signal {
	d.Helper()
	for {
		s, err := f.Next(d.Context())
		d.must(err)
		if s.Path == path && s.Member == member {
			return s
		}
	}
}

func (d *rig) open(what, method string, o client.Options) dbus.ObjectPath {
	d.Helper()
	path, err := d.c.Open(d.Context(), what, method, o)
	d.must(err)
	return path
}

func (d *rig) fd(path dbus.ObjectPath, o client.Options) *os.File {
	d.Helper()
	f, err := d.c.OpenFd(d.Context(), path, o)
	d.must(err)
	d.Cleanup(func() { f.Close() })
	return f
}

// streamProperty reads a property of a stream.
func streamProperty[T any](d *rig, path dbus.ObjectPath, name string) (v T) {
	d.Helper()
	d.must(d.c.Get(d.Context(), path, client.Name+".Stream", name, &v))
	return v
}

func TestRealT9T11AnExportGoesOnWhereItWasBrokenOff(t *testing.T) {
	d, _ := withFolder(t, "one", "two")
	d.write("cal/work/large.ics", strings.Replace(vevent("large", "Large"), "SUMMARY", strings.Repeat("COMMENT:"+strings.Repeat("x", 60)+"\r\n", 20000)+"SUMMARY", 1))
	var whole []byte
	for _, name := range []string{"large", "one", "two"} {
		text, err := os.ReadFile(filepath.Join(d.Dir, "cal/work", name+".ics"))
		d.must(err)
		whole = append(whole, text...)
	}
	f, err := d.c.Follow(t.Context())
	d.must(err)
	defer f.Close()
	path := d.open("here/work", "Collection.Export", nil)
	first := d.fd(path, nil)
	part := make([]byte, 100000)
	_, err = io.ReadFull(first, part)
	d.must(err)
	first.Close() // as a client does that dies
	if s := d.signal(f, path, "Disconnected"); s.Body[1] != client.Name+".Error.ConnectionLost" {
		t.Errorf("told %v", s.Body)
	}
	sum := sha256.Sum256(whole)
	if size, hash := streamProperty[uint64](d, path, "Size"), streamProperty[string](d, path, "ContentHash"); size != uint64(len(whole)) || hash != hex.EncodeToString(sum[:]) {
		t.Errorf("size %d, hash %s", size, hash)
	}
	rest, err := io.ReadAll(d.fd(path, client.Options{"offset": uint64(len(part))}))
	d.must(err)
	if got := append(part, rest...); string(got) != string(whole) {
		t.Errorf("%d bytes of %d, or others", len(got), len(whole))
	}
	// Bytes are counted from the start of the content, and the last count is told.
	last := uint64(0)
	for last != uint64(len(whole)) {
		if _, changed, ok := d.signal(f, path, "PropertiesChanged").Changed(); ok {
			if n, ok := changed["TransferredBytes"].Value().(uint64); ok {
				last = n
			}
		}
	}
	path = d.open("here/work", "Collection.Export", nil)
	d.fd(path, client.Options{"offset": uint64(len(whole)) + 1})
	if s := d.signal(f, path, "Disconnected"); s.Body[1] != "org.freedesktop.DBus.Error.InvalidArgs" {
		t.Errorf("beyond the end: told %v", s.Body)
	}
}

func TestRealT9T11AnImportGoesOnWhereItWasBrokenOff(t *testing.T) {
	d, _ := withFolder(t)
	data := vevent("one", "First") + vevent("two", "Second")
	sum := sha256.Sum256([]byte(data))
	f, err := d.c.Follow(t.Context())
	d.must(err)
	defer f.Close()
	path := d.open("here/work", "Collection.Import", client.Options{"size": uint64(len(data)), "sha256": hex.EncodeToString(sum[:])})
	half := len(vevent("one", "First")) // whole items, and not all of them
	first := d.fd(path, nil)
	_, err = io.WriteString(first, data[:half])
	d.must(err)
	first.Close()
	if s := d.signal(f, path, "Disconnected"); s.Body[1] != client.Name+".Error.ConnectionLost" || d.files("cal/work") != "" {
		t.Errorf("told %v, and the folder has %s", s.Body, d.files("cal/work"))
	}
	second := d.fd(path, client.Options{"offset": uint64(half)})
	d.signal(f, path, "Connected")
	// It is set before the first byte is taken, which may be after this is read.
	for at := streamProperty[uint64](d, path, "InitialOffset"); at != uint64(half); {
		if _, changed, ok := d.signal(f, path, "PropertiesChanged").Changed(); ok && changed["InitialOffset"].Value() != nil {
			if at, ok = changed["InitialOffset"].Value().(uint64); !ok || at != uint64(half) {
				t.Fatalf("it goes on after %v", changed)
			}
		}
	}
	_, err = io.WriteString(second, data[half:])
	d.must(err)
	second.Close()
	if s := d.signal(f, path, "Disconnected"); s.Body[1] != "" || d.files("cal/work") != "First, Second" {
		t.Errorf("told %v, and the folder has %s", s.Body, d.files("cal/work"))
	}
}

func TestRealT12T14AStreamIsItsOwnersAndGoesWithHim(t *testing.T) {
	d, _ := withFolder(t, "one")
	other, err := client.Dial(t.Context())
	d.must(err)
	defer other.Close()
	heard, err := other.Follow(t.Context())
	d.must(err)
	owner, err := client.Dial(t.Context())
	d.must(err)
	defer owner.Close()
	path, err := owner.Open(t.Context(), "here/work", "Collection.Serve", nil)
	d.must(err)
	for what, err := range map[string]error{
		"OpenFd": second(other.OpenFd(t.Context(), path, nil)),
		"Close":  other.Call(t.Context(), path, client.Name+".Stream.Close", []any{map[string]dbus.Variant{}}),
	} {
		if !client.HasName(err, "org.freedesktop.DBus.Error.AccessDenied") {
			t.Errorf("%s by somebody else: %v", what, err)
		}
	}
	told, err := owner.Follow(t.Context())
	d.must(err)
	file, err := owner.OpenFd(t.Context(), path, nil)
	d.must(err)
	defer file.Close()
	if s := d.signal(told, path, "Connected"); s.Body[0] != uint32(1) {
		t.Errorf("told %v", s.Body)
	}
	d.must(file.SetReadDeadline(time.Now().Add(30 * time.Second)))
	owner.Close()
	if n, err := file.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the owner has left, and the stream gives %d, %v", n, err)
	}
	for {
		s, err := heard.Next(t.Context())
		d.must(err)
		if s.Path == path && (s.Member == "Connected" || s.Member == "Disconnected") {
			t.Errorf("somebody else was told %s", s.Member)
		}
		if s.Member == "InterfacesRemoved" && len(s.Body) > 0 && s.Body[0] == path {
			return
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestRealT12ClosedByItsOwnerAStreamSaysCancelled(t *testing.T) {
	d, _ := withFolder(t, "one")
	f, err := d.c.Follow(t.Context())
	d.must(err)
	defer f.Close()
	path := d.open("here/work", "Collection.Import", nil)
	file := d.fd(path, nil)
	d.signal(f, path, "Connected")
	d.must(d.c.Call(t.Context(), path, client.Name+".Stream.Close", []any{map[string]dbus.Variant{}}))
	if s := d.signal(f, path, "Disconnected"); s.Body[1] != client.Name+".Error.Cancelled" {
		t.Errorf("told %v", s.Body)
	}
	d.must(file.SetReadDeadline(time.Now().Add(30 * time.Second)))
	if n, err := file.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
	var state string
	if err := d.c.Get(t.Context(), path, client.Name+".Stream", "State", &state); err == nil {
		t.Errorf("after Close it is still there: %s", state)
	}
}
