//go:build real

package service

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/service/lab"
	"davbus.org/davbus/transports/control"
)

// process is the rig's daemon as a process of its own, started by a program that
// hands it something over.
func (d *rig) process(files []*os.File, argv ...string) {
	d.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "DAVBUS_TEST_DAEMON=1")
	cmd.ExtraFiles, cmd.Stderr = files, &d.log
	if err := cmd.Start(); err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			d.Errorf("%s: %v\n%s", argv[0], err, d.log.String())
		}
		if d.c != nil {
			d.c.Close()
		}
	})
}

// dialled waits until the daemon answers on the bus.
func (d *rig) dialled() {
	d.Helper()
	var err error
	if !lab.Within(patience, func() bool {
		if d.c, err = client.Dial(d.Context()); err != nil {
			return false
		}
		var version string
		if err = d.c.Get(d.Context(), client.Root, client.Name+".Manager", "Version", &version); err != nil {
			d.c.Close()
			d.c = nil
		}
		return err == nil
	}) {
		d.Fatalf("it does not start: %v\n%s", err, d.log.String())
	}
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// check runs Account.Check and gives its lines and result.
func (d *rig) check(id string) (result, lines string) {
	d.Helper()
	return d.checkWith(id, nil)
}

// checkWith does so with other parameters; nil keeps the account's.
func (d *rig) checkWith(id string, o client.Options) (result, lines string) {
	d.Helper()
	options := map[string]dbus.Variant{}
	if o != nil {
		try := map[string]dbus.Variant{}
		for name, value := range o {
			try[name] = dbus.MakeVariant(value)
		}
		options["parameters"] = dbus.MakeVariant(try)
	}
	var job dbus.ObjectPath
	d.must(d.c.Call(d.Context(), client.AccountPath(id), client.Name+".Account.Check", []any{options}, &job))
	result, report, err := d.c.Wait(d.Context(), job)
	d.must(err)
	return result, strings.Join(report.Strs("lines"), "\n")
}

// What systemd hands over is used by its name, and no program that davbusd starts
// gets any of it.
func TestRealU9SystemdHandsTheControlSocketOverAndNobodyInheritsIt(t *testing.T) {
	d := home(t)
	path := filepath.Join(d.Runtime, "davbus", "control")
	d.must(os.Mkdir(filepath.Dir(path), 0o700))
	args := []string{"systemd-socket-activate", "--fdname=spare:control", "-l", filepath.Join(d.Runtime, "spare"), "-l", path, "-E", "DAVBUS_TEST_DAEMON"}
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"} {
		args = append(args, "-E", name)
	}
	d.process(nil, append(args, self(t))...)
	var c *control.Client
	if !lab.Within(patience, func() (ok bool) {
		var err error
		c, err = control.Dial(path)
		return err == nil
	}) {
		t.Fatalf("nobody listens\n%s", d.log.String())
	}
	defer c.Close()
	var got struct{ Value string }
	d.must(c.Call(t.Context(), "Properties.Get", map[string]any{"interface": "Control", "property": "SocketPath"}, &got))
	if got.Value != path {
		t.Errorf("the path is said to be %q", got.Value)
	}
	var err error
	d.c, err = client.Dial(t.Context())
	d.must(err)
	var version string
	if !lab.Within(patience, func() bool { // the socket is there before the name
		return d.c.Get(t.Context(), client.Root, client.Name+".Manager", "Version", &version) == nil
	}) {
		t.Fatal("it has no name")
	}
	d.write("child", "#!/bin/sh\nls /proc/self/fd >"+d.Dir+"/seen\nenv >"+d.Dir+"/env\necho 'I am here' >&2\nexit 1\n")
	d.must(os.Chmod(filepath.Join(d.Dir, "child"), 0o700))
	d.account("away", "dav", "url", "http://localhost/", "via", "exec:"+filepath.Join(d.Dir, "child"))
	if result, lines := d.check("away"); result != "failed" || !strings.Contains(lines, "exit status 1") {
		t.Errorf("%s: %s", result, lines)
	}
	// The last one is the folder that ls reads.
	seen, err := os.ReadFile(filepath.Join(d.Dir, "seen"))
	if fds := strings.Join(strings.Fields(string(seen)), " "); err != nil || fds != "0 1 2 3" {
		t.Errorf("a program of a route has descriptors %q, %v", fds, err)
	}
	if env, err := os.ReadFile(filepath.Join(d.Dir, "env")); err != nil || strings.Contains(string(env), "LISTEN_") {
		t.Errorf("a program of a route is told of them: %s, %v", env, err)
	}
	if !lab.Within(patience, func() bool { return strings.Contains(d.log.String(), "I am here") }) {
		t.Error("what it says is not in the log")
	}
}

// V15: a connection that was made by whoever starts davbusd.
func TestRealV15AConnectionThatWasHandedOverIsARoute(t *testing.T) {
	d := home(t)
	server := davtest.New(t, davtest.Options{Unix: true})
	server.Calendar("work")
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: server.Socket, Net: "unix"})
	d.must(err)
	file, err := conn.File()
	d.must(err)
	conn.Close()
	d.process([]*os.File{file}, "sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=server exec "$0"`, self(t))
	file.Close()
	d.dialled()
	d.account("server", "dav", "url", "http://localhost"+server.Home(engine.Calendar), "via", "fd:server")
	for range 2 {
		if result, lines := d.check("server"); result != "success" {
			t.Fatalf("%s: %s", result, lines)
		}
	}
	d.account("local", "vdir", "path", "~/pim")
	_, err = d.c.AddGroup(t.Context(), "home", []string{"server", "local"}, client.Options{"create-missing": []string{"local"}})
	d.must(err)
	d.sync("home", "success")
	if got := d.files("pim/work"); got != "" {
		t.Errorf("the folder has %q", got)
	}
	server.Stop()
	if result, lines := d.check("server"); result != "failed" || !strings.Contains(lines, "used up") {
		t.Errorf("%s: %s", result, lines)
	}
}
