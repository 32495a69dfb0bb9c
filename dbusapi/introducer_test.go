package dbusapi

import (
	"errors"
	"io"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/transports/intro"
)

// hand introduces one end of a pair and gives the other.
func (b *bench) hand(to string, metadata dict) (kept *net.UnixConn, err error) {
	b.t.Helper()
	mine, theirs, err := intro.Pair()
	if err != nil {
		b.t.Fatal(err)
	}
	defer theirs.Close()
	b.t.Cleanup(func() { mine.Close() })
	_, err = b.call(Root, ifIntroducer+".Introduce", to, dbus.UnixFD(theirs.Fd()), metadata)
	return mine, err
}

// ended tells whether nobody holds the other end of a socket.
func ended(c *net.UnixConn) bool {
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

func TestG3AnIntroducedSocketArrivesWithWhatItsSenderSaidAndWhoThatIs(t *testing.T) {
	b := open(t)
	b.callers.be(Caller{Name: ":1.7", PID: 77, UID: 1000})
	designator := b.must(Root, ifIntroducer+".Register", "viewer", peerPath, none)[0].(string)
	said := opts("title", "x", "size", uint32(7), "deep", opts("list", []string{"a"}))
	kept, err := b.hand(designator, said)
	if err != nil {
		t.Fatal(err)
	}
	got := <-b.peer.got
	if got.name != designator || !reflect.DeepEqual(got.metadata, map[string]dbus.Variant(said)) {
		t.Errorf("it got %q with %v", got.name, got.metadata)
	}
	if want := opts("pid", uint32(77), "uid", uint32(1000), "app-id", ""); !reflect.DeepEqual(got.sender, map[string]dbus.Variant(want)) {
		t.Errorf("from %v", got.sender)
	}
	got.socket.Write([]byte("x"))
	if n, err := kept.Read(make([]byte, 9)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	got.socket.Close()
	if !ended(kept) {
		t.Error("the daemon kept a copy")
	}
}

func TestG4ARefusedSocketIsClosedAndItsSenderToldWhy(t *testing.T) {
	b := open(t)
	b.must(Root, ifIntroducer+".Register", "shy", peerPath, opts("public", true))
	b.peer.mu.Lock()
	b.peer.refuse = dbus.NewError("org.example.Busy", []any{"not while I eat"})
	b.peer.mu.Unlock()
	kept, err := b.hand("shy", none)
	if e, ok := errors.AsType[dbus.Error](err); !ok || e.Name != peerRefused || !reflect.DeepEqual(e.Body, []any{"cannot do it: peer refused: the owner of \"shy\" refused the socket: org.example.Busy: not while I eat"}) {
		t.Errorf("%v", err)
	}
	if !ended(kept) {
		t.Error("the refused socket is open")
	}
	b.must(Root, ifIntroducer+".Register", "nothing-there", dbus.ObjectPath("/other"), opts("public", true))
	// The library leaves the socket of a call open that it cannot carry out.
	_, err = b.hand("nothing-there", none)
	if e, _ := errors.AsType[dbus.Error](err); e.Name != peerRefused {
		t.Errorf("%v", err)
	}
	if _, err = b.hand("shy", opts("more", dbus.UnixFD(0))); err == nil {
		t.Error("a descriptor in the metadata was taken")
	}
}

func TestG11NamesGoWithTheirOwnerAndEverybodySeesIt(t *testing.T) {
	b := open(t)
	b.must(Root, ifIntroducer+".Register", "one", peerPath, opts("public", true))
	b.must(Root, ifIntroducer+".Register", "two", peerPath, none)
	b.must(Root, ifIntroducer+".Offer", "one", "http", "tcp:127.0.0.1:1", opts("path", "/x"))
	offers := b.must(Root, ifIntroducer+".ListOffers", none)[0].([]map[string]dbus.Variant)
	if len(offers) != 1 || offers[0]["name"].Value() != "one" || offers[0]["parameters"].Value().(map[string]dbus.Variant)["path"].Value() != "/x" {
		t.Errorf("offers %v", offers)
	}
	b.must(Root, ifIntroducer+".Unregister", "two")
	if n := b.callers.followed(); n != 1 {
		t.Errorf("%d registrations are followed, want 1", n)
	}
	for {
		s := b.find("org.freedesktop.DBus.Properties.PropertiesChanged")
		if names, ok := s.Body[1].(map[string]dbus.Variant)["Names"]; ok {
			if !reflect.DeepEqual(names.Value(), []string{"one"}) {
				t.Errorf("told %v", names)
			}
			break
		}
	}
	b.callers.leave()
	if got := b.get(Root, ifIntroducer, "Names"); !reflect.DeepEqual(got, []string{}) {
		t.Errorf("Names is %v after the owner left", got)
	}
	if len(b.must(Root, ifIntroducer+".ListOffers", none)[0].([]map[string]dbus.Variant)) != 0 || len(b.face.followed) != 0 || b.callers.followed() != 0 {
		t.Error("something is kept of the owner")
	}
	_, err := b.hand("one", none)
	if e, _ := errors.AsType[dbus.Error](err); e.Name != notFound {
		t.Error(err)
	}
}

func TestWhatCannotBeFollowedIsNotRegistered(t *testing.T) {
	b := open(t)
	b.callers.mu.Lock()
	b.callers.fail = engine.Fail(engine.Cancelled, "follow", ":1.7", "it has left the bus")
	b.callers.mu.Unlock()
	b.fails(ours+"Cancelled", Root, ifIntroducer+".Register", "gone", peerPath, opts("public", true))
	if got := b.get(Root, ifIntroducer, "Names"); !reflect.DeepEqual(got, []string{}) {
		t.Errorf("Names is %v", got)
	}
}

func TestWhoIsNotOnTheBusIsSentToTheSocket(t *testing.T) {
	b := open(t)
	c := b.face.Join("shell", false)
	defer c.Leave()
	finish, _ := c.Begin(t.Context(), "Introducer.Register", []byte(`{"name":"x","path":"/p"}`))
	if _, err := finish(); err == nil || err.(*CallError).ErrorName() != notSupported {
		t.Error(err)
	}
}

// tunnelToNowhere has a connection carried to a service that does not answer.
func (b *bench) tunnelToNowhere() {
	b.t.Helper()
	b.must(Root, ifIntroducer+".Register", "desk", peerPath, opts("public", true))
	b.must(Root, ifIntroducer+".Offer", "desk", "http", "tcp:127.0.0.1:1", none)
	tunnel, err := b.host.broker.Take("desk", "http", intro.Sender{Owner: "taker"})
	if err != nil {
		b.t.Fatal(err)
	}
	mine, theirs, err := intro.Pair()
	if err != nil {
		b.t.Fatal(err)
	}
	defer mine.Close()
	sock, err := intro.Socket(theirs)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := tunnel.Carry(b.t.Context(), sock); err == nil {
		b.t.Error("port 1 answers")
	}
}

func TestT13TheOffererIsToldOfEachConnectionAndWhyItEnded(t *testing.T) {
	b := open(t)
	b.tunnelToNowhere()
	begun := b.find(ifIntroducer + ".TunnelConnected").Body
	ended := b.find(ifIntroducer + ".TunnelDisconnected").Body
	if !reflect.DeepEqual(begun[:3], []any{"desk", "http", uint32(1)}) || !reflect.DeepEqual(ended[:4], []any{"desk", "http", uint32(1), peerRefused}) {
		t.Errorf("told %v and %v", begun, ended)
	}
}
