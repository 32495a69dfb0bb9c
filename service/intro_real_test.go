//go:build real

package service

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/transports/intro"
	"davbus.org/davbus/transports/intro/ocapn"
)

// python starts the example and gives its lines as they come.
func (d *rig) python(args ...string) *bufio.Scanner {
	d.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", append([]string{filepath.Join("..", "data", "examples", "introduction.py")}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	d.must(err)
	d.must(cmd.Start())
	d.Cleanup(func() { stop(); cmd.Wait() })
	return bufio.NewScanner(out)
}

func (d *rig) door() *intro.Client {
	d.Helper()
	c, err := intro.Dial(filepath.Join(d.Runtime, "davbus", "intro"))
	d.must(err)
	d.Cleanup(func() { c.Close() })
	return c
}

// reads gives the next line, which must hold a text.
func (d *rig) reads(lines *bufio.Scanner, want string) {
	d.Helper()
	if !lines.Scan() || !strings.Contains(lines.Text(), want) {
		d.Fatalf("it says %q, want %q (%v)", lines.Text(), want, lines.Err())
	}
}

// talk says something, ends its side and gives the answer.
func (d *rig) talk(c interface {
	io.ReadWriter
	CloseWrite() error
}, say string) string {
	d.Helper()
	_, err := io.WriteString(c, say)
	d.must(err)
	d.must(c.CloseWrite())
	got, err := io.ReadAll(c)
	d.must(err)
	return string(got)
}

func TestRealG3G12GoAndPythonAreIntroducedAndTalk(t *testing.T) {
	d := home(t)
	d.start()
	waiting := d.python("wait", "snake")
	d.reads(waiting, "waiting as snake")
	gopher := d.door()
	conn, err := gopher.Introduce(t.Context(), "snake", map[string]any{"language": "Go"}, false)
	d.must(err)
	defer conn.Close()
	if got := d.talk(conn, "hello"); got != "heard hello" || conn.Cred.PID == os.Getpid() {
		t.Errorf("%q from %+v", got, conn.Cred)
	}
	d.reads(waiting, `says hello with {"language": "Go"}`)

	arrived := make(chan *intro.Arrival, 1)
	_, err = gopher.Register(t.Context(), intro.Name{Name: "gopher", Public: true}, func(a *intro.Arrival) error { arrived <- a; return nil })
	d.must(err)
	calling := d.python("call", "gopher", "good day")
	a := <-arrived
	said, err := io.ReadAll(a.Conn)
	d.must(err)
	io.WriteString(a.Conn, "and to you")
	a.Conn.Close()
	d.reads(calling, "and to you")
	if string(said) != "good day" || string(a.Metadata) != `{"language":"Python"}` || a.Sender.PID != uint32(a.Conn.Cred.PID) {
		t.Errorf("%q %s from %+v, held by %+v", said, a.Metadata, a.Sender, a.Conn.Cred)
	}
}

// A peer on the bus: it answers what a socket says.
type busPeer struct{ from chan map[string]dbus.Variant }

func (p *busPeer) Incoming(_ string, socket dbus.UnixFD, metadata, sender map[string]dbus.Variant) *dbus.Error {
	sock, err := intro.Socket(os.NewFile(uintptr(socket), "introduced"))
	if err != nil {
		return dbus.MakeFailedError(err)
	}
	go func() {
		defer sock.Close()
		if conn, err := intro.Meet(sock); err == nil {
			got, _ := io.ReadAll(conn)
			io.WriteString(conn, "the bus heard "+string(got))
		}
	}()
	p.from <- metadata
	p.from <- sender
	return nil
}

// Both doors lead to one broker: a program without a bus meets one on it, and the
// other way round.
func TestRealG1TheBusAndTheSocketLeadToEachOther(t *testing.T) {
	d := home(t)
	d.start()
	var path string
	d.must(d.c.Get(t.Context(), client.Root, client.Name+".Introducer", "SocketPath", &path))
	if path != filepath.Join(d.Runtime, "davbus", "intro") {
		t.Errorf("SocketPath is %q", path)
	}
	p := &busPeer{make(chan map[string]dbus.Variant, 2)}
	d.must(d.c.Conn().Export(p, "/peer", client.Name+".IntroducerPeer"))
	var designator string
	public := map[string]dbus.Variant{"public": dbus.MakeVariant(true)}
	d.must(d.c.Call(t.Context(), client.Root, client.Name+".Introducer.Register", []any{"bus", dbus.ObjectPath("/peer"), public}, &designator))
	calling := d.python("call", "bus", "hello")
	d.reads(calling, "the bus heard hello")
	if metadata, sender := <-p.from, <-p.from; metadata["language"].Value() != "Python" || sender["uid"].Value() != uint32(os.Geteuid()) || sender["app-id"].Value() != "" {
		t.Errorf("from %v with %v", sender, metadata)
	}

	c := d.door()
	arrived := make(chan *intro.Arrival, 1)
	_, err := c.Register(t.Context(), intro.Name{Name: "socket", Public: true}, func(a *intro.Arrival) error { arrived <- a; return nil })
	d.must(err)
	var names []string
	d.must(d.c.Get(t.Context(), client.Root, client.Name+".Introducer", "Names", &names))
	if !slices.Equal(names, []string{"bus", "socket"}) {
		t.Errorf("Names is %q", names)
	}
	mine, theirs, err := intro.Pair()
	d.must(err)
	defer theirs.Close()
	d.must(intro.Greet(mine))
	metadata := map[string]dbus.Variant{"list": dbus.MakeVariant([]string{"a", "b"})}
	d.must(d.c.Call(t.Context(), client.Root, client.Name+".Introducer.Introduce", []any{"socket", dbus.UnixFD(theirs.Fd()), metadata}))
	a := <-arrived
	defer a.Conn.Close()
	if string(a.Metadata) != `{"list":["a","b"]}` || a.Sender.PID != uint32(os.Getpid()) {
		t.Errorf("%s from %+v", a.Metadata, a.Sender)
	}
	// Who leaves the bus takes its name along.
	d.c.Close()
	d.c, err = client.Dial(t.Context())
	d.must(err)
	if _, err := c.Introduce(t.Context(), "bus", nil, false); err == nil || !strings.Contains(err.Error(), "registered") && !strings.Contains(err.Error(), "left") {
		t.Error(err)
	}
}

// A peer with a key and one without, through one daemon; the socket for the first
// is there only if it is asked for.
func TestRealG2PeersWithKeysHaveADoorIfItIsOpened(t *testing.T) {
	d := home(t)
	d.start()
	path := filepath.Join(d.Runtime, "davbus", "ocapn")
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket is there though nobody asked for it")
	}
	d.must(d.stop())
	d.write(".config/davbus/davbus.yaml", "ocapn-socket: true\n")
	d.start()
	_, aliceKey, err := ed25519.GenerateKey(nil)
	d.must(err)
	_, bobKey, err := ed25519.GenerateKey(nil)
	d.must(err)
	arrived := make(chan *net.UnixConn, 1)
	alice := ocapn.NewNet(aliceKey, func(_ ocapn.Locator, sock *net.UnixConn) { sock.Close() })
	defer alice.Close()
	bob := ocapn.NewNet(bobKey, func(_ ocapn.Locator, sock *net.UnixConn) { arrived <- sock })
	defer bob.Close()
	for _, n := range []*ocapn.Net{alice, bob} {
		_, err := n.AddServer(path)
		d.must(err)
	}
	conn, err := alice.Connect(t.Context(), bob.Locator())
	d.must(err)
	defer conn.Close()
	sock := <-arrived
	go func() {
		defer sock.Close()
		text, _ := io.ReadAll(sock)
		io.WriteString(sock, "heard "+string(text))
	}()
	if got := d.talk(conn, "hello"); got != "heard hello" {
		t.Errorf("%q", got)
	}
	// And from the other door, by the designator.
	mine, theirs, err := intro.Pair()
	d.must(err)
	defer mine.Close()
	defer theirs.Close()
	d.must(d.c.Call(t.Context(), client.Root, client.Name+".Introducer.Introduce", []any{bob.Locator().Designator, dbus.UnixFD(theirs.Fd()), map[string]dbus.Variant{}}))
	(<-arrived).Close()
}
