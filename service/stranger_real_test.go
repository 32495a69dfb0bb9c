//go:build real

package service

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
	"davbus.org/davbus/transports/peer"
)

// A visitor connects, says nothing, and tells whether it may stay: whoever is sent
// away without having said anything was judged by the kernel's word alone.
const visitorProgram = `
import select, socket, sys
kind, _, where = sys.argv[1].partition(":")
if kind == "unix":
    s = socket.socket(socket.AF_UNIX)
    s.connect(where)
else:
    host, _, port = where.rpartition(":")
    s = socket.create_connection((host, int(port)))
patience = float(sys.argv[2])
if not select.select([s], [], [], patience)[0]:
    print("welcome")
else:
    try:
        print("sent away" if s.recv(1) == b"" else "answered")
    except ConnectionResetError:
        print("sent away")
`

// visits has a process of some user connect.
func (d *rig) visits(uid uint32, address string, patience float64) string {
	d.Helper()
	ctx, cancel := context.WithTimeout(d.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", "-c", visitorProgram, address, fmt.Sprint(patience))
	cmd.Dir = "/"
	if uid != uint32(os.Geteuid()) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return strings.TrimSpace(string(out)) + " " + err.Error()
	}
	return strings.TrimSpace(string(out))
}

// everySocket opens one of each kind that the daemon has.
func (d *rig) everySocket() map[string]string {
	d.Helper()
	d.write("cal/work/one.ics", vevent("one", "One"))
	d.account("here", "vdir", "path", filepath.Join(d.Dir, "cal"), "kind", "calendar")
	d.account("far", "dav", "url", "http://127.0.0.1:1/")
	job, err := d.c.Discover(d.Context(), "here", client.Options{})
	d.must(err)
	_, _, err = d.c.Wait(d.Context(), job)
	d.must(err)
	_, err = d.c.Register(d.Context(), "desk", client.Options{"public": true})
	d.must(err)
	d.must(d.c.Offer(d.Context(), "desk", "echo", lab.Echo(d.T, "tcp", "127.0.0.1:0"), client.Options{}))

	run := filepath.Join(d.Runtime, "davbus")
	all := map[string]string{"control": "unix:" + run + "/control", "introductions": "unix:" + run + "/intro", "plugins": "unix:" + run + "/plugins", "OCapN": "unix:" + run + "/ocapn"}
	keep := client.Options{"keep": true}
	listen := func(kind, network, access string, stream dbus.ObjectPath, err error) {
		d.Helper()
		d.must(err)
		address, _, err := d.c.Listen(d.Context(), stream, network, access, client.Options{})
		d.must(err)
		all[kind] = network + ":" + address
	}
	for kind, x := range map[string][2]string{
		"export": {"here/work", "Collection.Export"}, "import": {"here/work", "Collection.Import"}, "serve": {"here/work", "Collection.Serve"},
		"proxy": {"far", "Account.OpenProxy"}, "served as a plugin": {"here", "Account.ServePlugin"},
	} {
		stream, err := d.c.Open(d.Context(), x[0], x[1], keep)
		listen(kind, "unix", "", stream, err)
	}
	stream, _, err := d.c.Take(d.Context(), "desk", "echo", keep)
	listen("tunnel", "unix", "", stream, err)
	for _, access := range []string{"credentials", "cookie", "password"} {
		stream, err := d.c.Open(d.Context(), "here/work", "Collection.Serve", keep)
		listen("serve by "+access, "unix", access, stream, err)
	}
	for _, access := range []string{"cookie", "password"} {
		stream, err := d.c.Open(d.Context(), "here/work", "Collection.Serve", keep)
		listen("serve on TCP by "+access, "tcp", access, stream, err)
	}
	return all
}

// T6, U10, G1: every socket of davbus sends another user away before he has said
// anything, even where folders and modes would let him in. Only root can become
// another user; for all others the modes of each socket are looked at, and that
// this user is not sent away.
func TestRealT6U10EverySocketRefusesAnotherUserUnheard(t *testing.T) {
	d := home(t)
	d.write(".config/davbus/davbus.yaml", "ocapn-socket: true\n")
	d.start()
	all := d.everySocket()
	for kind, address := range all {
		if network, where, _ := strings.Cut(address, ":"); network == "unix" {
			mustBePrivate(t, kind, where)
		}
	}
	if os.Geteuid() == 0 {
		d.strangers(all)
	}
	// Who was sent away has used nothing up.
	for kind, address := range all {
		// An export begins by itself; everybody else waits to be spoken to.
		if got, want := d.visits(uint32(os.Geteuid()), address, 0.2), map[bool]string{true: "answered", false: "welcome"}[kind == "export"]; got != want {
			t.Errorf("%s: this user himself is %q, want %q", kind, got, want)
		}
	}
}

// strangers come to every socket, with every door open to them.
func (d *rig) strangers(all map[string]string) {
	d.Helper()
	for _, dir := range []string{d.Runtime, filepath.Join(d.Runtime, "davbus")} {
		d.must(os.Chmod(dir, 0o777))
	}
	for kind, address := range all {
		if network, where, _ := strings.Cut(address, ":"); network == "unix" {
			d.must(os.Chmod(where, 0o777))
		}
		for _, uid := range []uint32{peer.Unknown, 23456} {
			if got := d.visits(uid, address, 30); got != "sent away" {
				d.Errorf("%s: uid %d is %q", kind, uid, got)
			}
		}
	}
	for _, want := range []string{"a client of the control socket was refused: uid 23456", "a client of the introduction socket was refused: uid 65534", "a client of the plugin socket was refused: uid 23456"} {
		if !strings.Contains(d.log.String(), want) {
			d.Errorf("the log does not say %q", want)
		}
	}
}

// mustBePrivate demands that nobody else can reach a socket by its path.
func mustBePrivate(t *testing.T, kind, path string) {
	t.Helper()
	socket, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Lstat(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for name, info := range map[string]os.FileInfo{"socket": socket, "folder": dir} {
		if info.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: its %s is %v", kind, name, info.Mode())
		}
	}
}

// An offered service of another user is not carried to anybody.
func TestRealT18AnotherUsersServiceIsNotCarried(t *testing.T) {
	d := home(t)
	d.start()
	_, err := d.c.Register(t.Context(), "desk", client.Options{"public": true})
	d.must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	d.must(err)
	target := "tcp:" + l.Addr().String()
	l.Close() // nobody's: as little the user's as another's
	if os.Geteuid() == 0 {
		port := target[strings.LastIndexByte(target, ':')+1:]
		cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", "import socket, sys\ns = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nprint('ready', flush=True)\nsys.stdin.read()", port)
		cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 23456, Gid: 23456}}
		in, err := cmd.StdinPipe()
		d.must(err)
		out, err := cmd.StdoutPipe()
		d.must(err)
		d.must(cmd.Start())
		defer cmd.Wait()
		defer in.Close()
		if _, err := out.Read(make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
	}
	d.must(d.c.Offer(t.Context(), "desk", "echo", target, client.Options{}))
	f, err := d.c.Follow(t.Context())
	d.must(err)
	defer f.Close()
	stream, _, err := d.c.Take(t.Context(), "desk", "echo", client.Options{})
	d.must(err)
	file, err := d.c.OpenFd(t.Context(), stream, client.Options{})
	d.must(err)
	defer file.Close()
	if n, err := file.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("something was carried")
	}
	for {
		s, err := f.Next(t.Context())
		d.must(err)
		if s.Member != "TunnelDisconnected" {
			continue
		}
		want := "nobody listens"
		if os.Geteuid() == 0 {
			want = "belongs to uid 23456"
		}
		if text := fmt.Sprint(s.Body); !strings.Contains(text, want) {
			t.Errorf("told %s, want %q", text, want)
		}
		return
	}
}
