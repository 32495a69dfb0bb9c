//go:build real

package service

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/service/lab"
)

// A machine is another one: a home, a bus and a davbusd of its own.
type machine struct {
	*testing.T
	lab.HomeDir
	env []string
	cli string

	daemon *lab.Program
}

func newMachine(t *testing.T, programs string) *machine {
	t.Helper()
	m := &machine{T: t, HomeDir: lab.Home(t), cli: filepath.Join(programs, "davbus")}
	bus := lab.Bus(t)
	bustest.NothingShows(t, bus.Address, lab.AlicePassword)
	m.env = m.Env("DBUS_SESSION_BUS_ADDRESS=" + bus.Address)
	described := filepath.Join(m.Dir, ".local/share/davbus/plugins/davbus.yaml") // as it is installed
	if err := os.MkdirAll(filepath.Dir(described), 0o700); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../data/plugins/davbus.yaml")
	if err == nil {
		err = os.WriteFile(described, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	daemon, err := lab.Start(m.env, filepath.Join(programs, "davbusd"))
	if err != nil {
		t.Fatal(err)
	}
	m.daemon = daemon
	t.Cleanup(func() {
		if err := daemon.Stop(30 * time.Second); err != nil || t.Failed() {
			t.Logf("the other daemon: %v\n%v", err, daemon)
		}
	})
	if !lab.Within(30*time.Second, func() bool { _, err := m.try("status"); return err == nil }) {
		t.Fatalf("the other daemon is not ready\n%v", daemon)
	}
	return m
}

func (m *machine) try(args ...string) (string, error) {
	cmd := exec.CommandContext(m.Context(), m.cli, args...)
	cmd.Env = m.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (m *machine) davbus(args ...string) string {
	m.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.Fatalf("davbus %v: %v\n%s", args, err, out)
	}
	return out
}

// Two laptops, each with a folder and no server: the one runs "davbus plugin
// serve" on the other, which ssh would do; here the other's environment does.
func TestTwoMachinesStayInStepWithoutAServer(t *testing.T) {
	programs := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", programs, "./davbusd", "./davbus").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d := home(t)
	other := newMachine(t, programs)
	reach := filepath.Join(d.Dir, "reach")
	d.write("reach", "#!/bin/sh\nexec env -i \"DBUS_SESSION_BUS_ADDRESS=$1\" \""+other.cli+"\" plugin serve local\n")
	d.must(os.Chmod(reach, 0o700))
	d.must(os.MkdirAll(filepath.Join(other.Dir, "pim", "cal"), 0o700))
	there := func(name, text string) {
		d.must(os.WriteFile(filepath.Join(other.Dir, "pim", "cal", name), []byte(text), 0o600))
	}
	there("one.ics", vevent("one", "One"))
	other.davbus("account", "add", "local", "vdir", "path="+filepath.Join(other.Dir, "pim"))

	d.describePlugin("davbus", "name: davbus of another machine\n")
	d.write("here/cal/two.ics", vevent("two", "Two"))
	d.start()
	address := strings.TrimPrefix(other.env[len(other.env)-1], "DBUS_SESSION_BUS_ADDRESS=")
	d.pair("plugin:davbus", "via", "exec:"+reach+" "+address)
	d.sync("both", "success")
	read := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(other.Dir, "pim", "cal", name))
		return string(text)
	}
	if got := d.files("here/cal"); got != "One, Two" || !strings.Contains(read("two.ics"), "SUMMARY:Two") {
		t.Fatalf("here: %s, there: %q", got, read("two.ics"))
	}

	// An edit, a new item and a deletion there come here without being asked for.
	there("one.ics", vevent("one", "One, edited there"))
	d.until("the edit comes", func() bool { return strings.Contains(d.files("here/cal"), "One, edited there") })
	there("three.ics", vevent("three", "Three"))
	d.until("the new item comes", func() bool { return strings.Contains(d.files("here/cal"), "Three") })
	d.must(os.Remove(filepath.Join(other.Dir, "pim", "cal", "three.ics")))
	d.until("the deletion comes", func() bool { return !strings.Contains(d.files("here/cal"), "Three") })

	// And what is edited here goes there.
	d.write("here/cal/two.ics", vevent("two", "Two, edited here"))
	d.until("the edit goes", func() bool { return strings.Contains(read("two.ics"), "Two, edited here") })
	d.until("all is quiet", func() bool {
		report := d.sync("both", "success")
		return report.Int("added")+report.Int("modified")+report.Int("removed") == 0
	})
	if got := d.files("here/cal"); got != "One, edited there, Two, edited here" {
		t.Errorf("here: %s", got)
	}
}
