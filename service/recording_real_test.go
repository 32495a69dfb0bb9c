//go:build real

package service

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

// watchSecrets demands, at the end of a test, that the password of every server here
// was neither on the bus nor in the log, and no item in a broadcast.
func (d *rig) watchSecrets(address string) {
	d.Helper()
	if _, benchmark := d.T.(*testing.B); benchmark {
		return // it would be slower
	}
	bustest.NothingShows(d, address, lab.AlicePassword)
	d.Cleanup(func() {
		if strings.Contains(d.log.String(), lab.AlicePassword) {
			d.Error("the password was in the log")
		}
	})
}

// record writes down every message of the bus until stop.
func (d *rig) record() (stop func() []byte) {
	d.Helper()
	read, seen := bustest.Record(d, d.bus.Address)
	return func() []byte { seen("org.example.End"); return read() }
}

// keyring runs a real one; with a password it makes and unlocks "login".
func (d *rig) keyring(password string) (stop func()) {
	d.Helper()
	cmd := exec.Command("gnome-keyring-daemon", "--foreground", "--components=secrets")
	if password != "" {
		cmd.Args = append(cmd.Args, "--unlock")
	}
	cmd.Stdin = strings.NewReader(password)
	d.must(cmd.Start())
	ended := false
	stop = func() {
		if !ended {
			ended = true
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
	d.Cleanup(stop)
	var here bool
	if !lab.Within(patience, func() bool {
		return d.c.Conn().BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, "org.freedesktop.secrets").Store(&here) == nil && here
	}) {
		d.Fatal("the keyring does not start")
	}
	return stop
}

func (d *rig) secretState(want string) {
	d.Helper()
	var state string
	if !lab.Within(patience, func() bool {
		return d.c.Get(d.Context(), client.AccountPath("work"), client.Name+".Account", "SecretState", &state) == nil && state == want
	}) {
		d.Errorf("SecretState is %q, want %q", state, want)
	}
}

// The life of one password, with everything on the bus written down: no keyring,
// an agent's answer that the server takes and the keyring keeps, a restart, a
// locked keyring, an unlocked one.
func TestARecordingOfTheBusHoldsNoSecretAndNoBroadcastHoldsContent(t *testing.T) {
	server := lab.Radicale(t)
	d := home(t)
	stop := d.record()
	d.start()
	path, err := server.Make(t.Context(), "work")
	d.must(err)
	const planted = "planted-summary"
	if code := d.ask(server, "PUT", path+"s.ics", vevent("s", planted)); code/100 != 2 {
		t.Fatal(code)
	}
	d.account("work", "dav", "url", server.URL+"/", "username", lab.Alice)
	d.account("local", "vdir", "path", "~/pim")
	d.group("home", []string{"work", "local"}, client.Options{"create-missing": []string{"local"}})
	d.sync("home", "failed")
	d.secretState("no-service")

	end := d.keyring("testpw")
	d.sync("home", "failed")
	d.secretState("missing")
	a := &scripted{secrets: []string{"wrong-planted", lab.AlicePassword}, conflict: func(dbus.ObjectPath) (string, error) { return "later", nil }}
	gone := d.agent(a, client.Options{"store": "keyring"})
	d.sync("home", "success")
	d.secretState("stored")
	gone()

	// It is found again after a restart, and a conflict is told without its content.
	d.must(d.stop())
	d.start()
	d.write("pim/work/s.ics", vevent("s", planted+" mine"))
	if code := d.ask(server, "PUT", path+"s.ics", vevent("s", planted+" theirs")); code/100 != 2 {
		t.Fatal(code)
	}
	d.agent(a, client.Options{"handles": []string{"conflicts"}})
	d.sync("home", "success")
	if !lab.Within(patience, func() bool { return strings.Contains(a.said(), "conflict over SUMMARY") }) {
		t.Errorf("asked %q", a.said())
	}

	login := dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	d.must(d.c.Conn().Object("org.freedesktop.secrets", "/org/freedesktop/secrets").Call("org.freedesktop.Secret.Service.Lock", 0, []dbus.ObjectPath{login}).Err)
	d.must(d.stop()) // what it has in memory
	d.start()
	d.sync("home", "failed")
	d.secretState("locked")
	end()
	d.keyring("testpw")
	d.sync("home", "success")
	d.secretState("stored")

	recording := stop()
	signals, all := bustest.Broadcasts(t, recording)
	if len(signals) < 50 || all < 300 || !strings.Contains(strings.Join(signals, "\n"), "JobRemoved") || !bytes.Contains(recording, []byte("RequestSecret")) {
		t.Errorf("%d messages and %d broadcasts: the recording lacks what it should hold", all, len(signals))
	}
	for _, secret := range []string{lab.AlicePassword, "wrong-planted", "testpw"} {
		if bytes.Contains(recording, []byte(secret)) {
			t.Errorf("%q crossed the bus in the clear", secret)
		}
		if strings.Contains(d.log.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
	for _, s := range signals {
		if strings.Contains(s, planted) {
			t.Errorf("a broadcast holds an item's content: %s", s)
		}
	}
}
