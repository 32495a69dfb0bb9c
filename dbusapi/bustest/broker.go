package bustest

import (
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"
)

// A Bus is a kind of message bus. Both kinds let everyone own and say
// everything, and neither starts any service.
type Bus struct {
	Name  string
	Start func(testing.TB) (address string, bus *os.Process)
}

// Buses are those that desktops run.
func Buses() []Bus {
	return []Bus{{"dbus-daemon", DaemonProcess}, {"dbus-broker", BrokerProcess}}
}

// BrokerProcess starts dbus-broker. Its own launcher wants a systemd that has
// listened for it, so the test plays the launcher: it hands over the listening
// socket, and the policy, on a connection that is the broker's leash too.
func BrokerProcess(t testing.TB) (address string, bus *os.Process) {
	t.Helper()
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "bus")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	handed, err := listener.File()
	listener.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer handed.Close()
	near, far := sockets(t)
	defer far.Close()
	leash, err := far.File()
	if err != nil {
		t.Fatal(err)
	}
	defer leash.Close()
	cmd := exec.Command("dbus-broker", "--controller", "3", "--machine-id", strings.Repeat("0123456789abcdef", 2))
	cmd.ExtraFiles, cmd.Stderr = []*os.File{leash}, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal("dbus-broker is needed: ", err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	launch(t, near, handed)
	return "unix:path=" + socket, cmd.Process
}

// launch tells a broker where to listen and what to let through.
func launch(t testing.TB, near *net.UnixConn, socket *os.File) {
	t.Helper()
	c, err := dbus.DialUnix(near)
	if err == nil {
		t.Cleanup(func() { c.Close() })
		err = c.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))})
	}
	fd := int(socket.Fd())
	if err == nil {
		err = syscall.SetNonblock(fd, true) // Fd has undone it, and the broker would hang in accept
	}
	if err == nil {
		body := []any{dbus.ObjectPath("/org/bus1/DBus/Listener/0"), dbus.UnixFD(fd), dbus.MakeVariant(allowAll())}
		// There is no bus on this connection: the call must name no destination.
		err = (<-c.Send(&dbus.Message{Type: dbus.TypeMethodCall, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath("/org/bus1/DBus/Broker")),
			dbus.FieldInterface: dbus.MakeVariant("org.bus1.DBus.Broker"), dbus.FieldMember: dbus.MakeVariant("AddListener"),
			dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(body...)),
		}}, make(chan *dbus.Call, 1)).Done).Err
	}
	if err != nil {
		t.Fatal("dbus-broker does not listen: ", err)
	}
}

// The policy of a listener, as dbus-broker takes it.
type (
	brokerOwn struct {
		Allow    bool
		Priority uint64
		Prefix   bool
		Name     string
	}
	brokerPass struct {
		Allow                         bool
		Priority                      uint64
		Name, Path, Interface, Member string
		Type, Broadcast               uint32
		MinFiles, MaxFiles            uint64
	}
	brokerRules struct {
		Connect       bool
		Priority      uint64
		Own           []brokerOwn
		Send, Receive []brokerPass
	}
	brokerUser struct {
		UID   uint32
		Rules brokerRules
	}
	brokerGroup struct {
		Group    bool
		From, To uint32
		Rules    brokerRules
	}
	brokerPolicy struct {
		Users    []brokerUser
		Groups   []brokerGroup
		Labels   []struct{ Name, Label string }
		AppArmor bool
		BusType  string
	}
)

func allowAll() brokerPolicy {
	pass := []brokerPass{{Allow: true, Priority: 1, MaxFiles: math.MaxUint64}}
	rules := brokerRules{Connect: true, Priority: 1, Own: []brokerOwn{{true, 1, true, ""}}, Send: pass, Receive: pass}
	return brokerPolicy{Users: []brokerUser{{math.MaxUint32, rules}}, BusType: "session"}
}
