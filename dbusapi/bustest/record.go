package bustest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// Record writes down every message of a bus, of either kind, until the end of the
// test. read gives what is written so far; seen waits for all until now, by asking
// for a name.
func Record(t testing.TB, address string) (read func() []byte, seen func(name string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "recording")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	cmd := exec.Command("dbus-monitor", "--address", address, "--binary")
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal("dbus-monitor is needed: ", err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	conn := Client(t, address)
	read = func() []byte {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	seen = func(name string) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !bytes.Contains(read(), []byte(name)); {
			conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, name)
			if time.Now().After(end) {
				t.Fatal("the recording does not run")
			}
		}
	}
	seen("org.example.Begin")
	return read, seen
}

// Broadcasts are the signals to everybody in a recording, as text, and how many
// messages there are.
func Broadcasts(t testing.TB, recording []byte) (signals []string, all int) {
	t.Helper()
	for r := bytes.NewReader(recording); ; all++ {
		m, err := dbus.DecodeMessage(r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return signals, all
		}
		if err != nil {
			t.Fatalf("message %d of the recording: %v", all, err)
		}
		if _, unicast := m.Headers[dbus.FieldDestination]; m.Type == dbus.TypeSignal && !unicast {
			signals = append(signals, fmt.Sprintf("%v %v %v", m.Headers[dbus.FieldPath].Value(), m.Headers[dbus.FieldMember], m.Body))
		}
	}
}

// NothingShows records a bus and demands, at the end of the test, that no secret
// was on it and that no broadcast held an item.
func NothingShows(t testing.TB, address string, secrets ...string) {
	t.Helper()
	read, _ := Record(t, address)
	t.Cleanup(func() {
		recording := read()
		for _, secret := range secrets {
			if bytes.Contains(recording, []byte(secret)) {
				t.Errorf("a secret was on the bus: %q", secret)
			}
		}
		signals, _ := Broadcasts(t, recording)
		for _, s := range signals {
			// Evolution's own service tells items to everybody, and asks nobody.
			if strings.Contains(s, "BEGIN:V") && !strings.HasPrefix(s, "/org/gnome/evolution/") {
				t.Errorf("a broadcast holds an item: %s", s)
			}
		}
	})
}
