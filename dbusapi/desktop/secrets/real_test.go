//go:build real

package secrets

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/engine"
)

// A desk is a home with a bus and, from some moment on, a real keyring.
type desk struct {
	t       *testing.T
	address string
	env     []string
	keyring *exec.Cmd
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, address: bustest.Daemon(t)}
	home, err := os.MkdirTemp("", "home") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	for _, sub := range []string{"run", ".local/share", ".config", ".cache"} {
		if err := os.MkdirAll(filepath.Join(home, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_RUNTIME_DIR=" + home + "/run", "DBUS_SESSION_BUS_ADDRESS=" + d.address, "LC_ALL=C.UTF-8",
		"XDG_DATA_HOME=" + home + "/.local/share", "XDG_CONFIG_HOME=" + home + "/.config", "XDG_CACHE_HOME=" + home + "/.cache",
	}
	return d
}

func (d *desk) command(stdin string, argv ...string) *exec.Cmd {
	c := exec.Command(argv[0], argv[1:]...)
	c.Env = d.env
	c.Stdin = strings.NewReader(stdin)
	c.WaitDelay = time.Second
	return c
}

// start runs the keyring; with a password it makes and unlocks the collection
// "login".
func (d *desk) start(password string) {
	d.t.Helper()
	argv := []string{"gnome-keyring-daemon", "--foreground", "--components=secrets"}
	if password != "" {
		argv = append(argv, "--unlock")
	}
	d.keyring = d.command(password, argv...)
	if err := d.keyring.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(d.stop)
	client := bustest.Client(d.t, d.address)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var there bool
		if err := client.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, serviceName).Store(&there); err != nil {
			d.t.Fatal(err)
		}
		if there {
			return
		}
		if time.Now().After(end) {
			d.t.Fatal("the keyring did not start")
		}
	}
}

func (d *desk) stop() {
	if d.keyring != nil {
		d.keyring.Process.Kill()
		d.keyring.Wait()
		d.keyring = nil
	}
}

// lock locks the collection "login" as a person would.
func (d *desk) lock() {
	d.t.Helper()
	client := bustest.Client(d.t, d.address)
	err := client.Object(serviceName, servicePath).Call(serviceIface+".Lock", 0, []dbus.ObjectPath{servicePath + "/collection/login"}).Err
	if err != nil {
		d.t.Fatal(err)
	}
}

// unlock unlocks it with a password, as the login does.
func (d *desk) unlock(password string) {
	d.t.Helper()
	other := New(Options{Dial: Dial(d.address)})
	defer other.Close()
	s, err := other.open(d.t.Context(), true)
	if err != nil {
		d.t.Fatal(err)
	}
	master, err := s.encipher([]byte(password))
	if err != nil {
		d.t.Fatal(err)
	}
	const iface = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface"
	if err := s.call(d.t.Context(), servicePath, iface+".UnlockWithMasterPassword", nil, servicePath+"/collection/login", master); err != nil {
		d.t.Fatal(err)
	}
}

func TestWithARealKeyring(t *testing.T) {
	const secret = "s3cret-that-nobody-may-see"
	d := newDesk(t)
	changed := make(chan struct{}, 1)
	k := New(Options{Dial: Dial(d.address), Changed: func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}})
	defer k.Close()
	if err := k.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := k.Get(t.Context(), "work", "password")
	isKind(t, err, engine.Offline)

	d.start("")
	<-changed // it is noticed that there is a keyring now
	_, err = k.Get(t.Context(), "work", "password")
	isKind(t, err, engine.AuthRequired)
	isKind(t, k.Set(t.Context(), "work", "password", []byte(secret)), engine.NotFound)
	d.stop()

	read, seen := bustest.Record(t, d.address)
	d.start("testpw")
	_, err = k.Get(t.Context(), "work", "password")
	isKind(t, err, engine.AuthRequired)
	if err := k.Set(t.Context(), "work", "password", []byte(secret)); err != nil {
		t.Fatal(err)
	}
	get(t, k, secret)
	d.withSecretTool(k, secret)

	d.lock()
	_, err = k.Get(Quiet(t.Context()), "work", "password")
	isKind(t, err, engine.SecretLocked)
	_, err = k.Get(t.Context(), "work", "password") // there is nobody to ask
	isKind(t, err, engine.SecretLocked)
	isKind(t, k.Set(t.Context(), "work", "password", []byte(secret)), engine.SecretLocked)
	_, err = k.Get(t.Context(), "work", "token")
	isKind(t, err, engine.AuthRequired)
	for len(changed) > 0 {
		<-changed
	}
	d.unlock("testpw")
	<-changed // that it was unlocked is noticed
	get(t, k, secret)

	d.stop()
	d.start("testpw") // a new service knows nothing of the old session
	get(t, k, secret)
	if err := k.Forget(t.Context(), "work", "password"); err != nil {
		t.Error(err)
	}
	_, err = k.Get(t.Context(), "work", "password")
	isKind(t, err, engine.AuthRequired)

	seen("org.example.End")
	recorded := read()
	if !bytes.Contains(recorded, []byte("davbus: work (password)")) || !bytes.Contains(recorded, []byte("GetSecret")) {
		t.Errorf("the recording of %d bytes lacks what it should hold", len(recorded))
	}
	if bytes.Contains(recorded, []byte(secret)) {
		t.Error("the secret crossed the bus in the clear")
	}
}

// withSecretTool has another program read what we stored, and the other way
// round.
func (d *desk) withSecretTool(k *Keyring, secret string) {
	t := d.t
	lookup := d.command("", "secret-tool", "lookup", "service", "davbus", "account", "work", "name", "password")
	if out, err := lookup.Output(); err != nil || string(out) != secret {
		t.Errorf("secret-tool read %q, %v", out, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	store := d.command("typed-in-a-shell", "secret-tool", "store", "--label=x", "service", "davbus", "account", "home", "name", "password")
	store.Stderr = io.Discard
	if err := store.Run(); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Get(ctx, "home", "password"); err != nil || string(got) != "typed-in-a-shell" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := k.Set(ctx, "home", "password", []byte("changed")); err != nil {
		t.Error(err)
	}
	again := d.command("", "secret-tool", "lookup", "service", "davbus", "account", "home", "name", "password")
	if out, err := again.Output(); err != nil || string(out) != "changed" {
		t.Errorf("secret-tool read %q, %v", out, err)
	}
	if all := d.command("", "secret-tool", "search", "--all", "service", "davbus", "account", "home"); true {
		if out, err := all.Output(); err != nil || strings.Count(string(out), "[/org") > 1 {
			t.Errorf("it is there more than once, %v:\n%s", err, out)
		}
	}
}
