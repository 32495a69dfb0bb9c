package ocapn

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"davbus.org/davbus/transports/intro"
	"davbus.org/davbus/transports/private"
)

// serve runs a door until the end of the test, or until stop.
func serve(t *testing.T, d *Door) (path string, stop func()) {
	t.Helper()
	dir, err := private.OpenDir(filepath.Join(t.TempDir(), "run"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	if d.Listener, err = dir.Listen("ocapn", private.Options{}); err != nil {
		t.Fatal(err)
	}
	_, d.Key, _ = ed25519.GenerateKey(nil)
	if d.Broker == nil {
		d.Broker = intro.NewBroker()
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := d.Serve(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = func() { cancel(); work.Wait() }
	t.Cleanup(stop)
	return d.Listener.Path(), stop
}

// A met is one socket that was introduced.
type met struct {
	from Locator
	sock *net.UnixConn
}

func newPeer(t *testing.T) (n *Net, key ed25519.PrivateKey, got <-chan met) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan met, 1000)
	n = NewNet(key, func(from Locator, sock *net.UnixConn) { ch <- met{from, sock} })
	t.Cleanup(n.Close)
	return n, key, ch
}

func add(t *testing.T, n *Net, path string) <-chan error {
	t.Helper()
	gone, err := n.AddServer(path)
	if err != nil {
		t.Fatal(err)
	}
	return gone
}

func TestG1G2G3PeersShowTheirKeysAndAreIntroduced(t *testing.T) {
	path, _ := serve(t, &Door{})
	alice, aliceKey, _ := newPeer(t)
	bob, bobKey, got := newPeer(t)
	add(t, alice, path)
	add(t, bob, path)
	near, err := alice.Connect(t.Context(), bob.Locator())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	m := <-got
	defer m.sock.Close()
	if !m.from.Same(alice.Locator()) {
		t.Errorf("from %+v", m.from)
	}
	// From end to end: the keys are bound to the socket, whatever the middle did.
	bobSide := make(chan error, 1)
	go func() {
		bobSide <- Bind(t.Context(), m.sock, bobKey, aliceKey.Public().(ed25519.PublicKey), false)
	}()
	if err := errors.Join(Bind(t.Context(), near, aliceKey, bobKey.Public().(ed25519.PublicKey), true), <-bobSide); err != nil {
		t.Fatal(err)
	}
	io.WriteString(near, "x")
	if n, err := m.sock.Read(make([]byte, 9)); n != 1 || err != nil {
		t.Errorf("%d %v", n, err)
	}
}

func TestG2ASocketThatLeadsToAnotherKeyIsNotBound(t *testing.T) {
	_, mine, _ := ed25519.GenerateKey(nil)
	expected, _, _ := ed25519.GenerateKey(nil)
	_, impostor, _ := ed25519.GenerateKey(nil)
	a, file, err := intro.Pair()
	if err != nil {
		t.Fatal(err)
	}
	b, err := intro.Socket(file)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Bind(t.Context(), b, impostor, mine.Public().(ed25519.PublicKey), false) }()
	if err := Bind(t.Context(), a, mine, expected, true); err == nil {
		t.Error("an impostor was taken for the peer")
	}
	<-done
	b.Close()
}

func TestG6G7G11SeveralServersHintsAndTheirEnd(t *testing.T) {
	one, stop := serve(t, &Door{})
	two, _ := serve(t, &Door{})
	alice, _, _ := newPeer(t)
	bob, _, got := newPeer(t)
	gone := add(t, alice, one)
	add(t, alice, two)
	if _, err := alice.Connect(t.Context(), bob.Locator()); !errors.Is(err, ErrNoServer) {
		t.Errorf("without a server of bob's: %v", err)
	}
	if _, err := alice.AddServer(two); err == nil {
		t.Error("one server twice")
	}
	bobGone := add(t, bob, one)
	add(t, bob, two)
	if h := alice.Locator().Hints; len(h) != 2 || !reflect.DeepEqual(h, bob.Locator().Hints) {
		t.Errorf("hints %v", h)
	}
	stop()
	for _, c := range []<-chan error{gone, bobGone} {
		select {
		case err := <-c:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("nobody is told that a server has gone")
		}
	}
	if h := alice.Locator().Hints; len(h) != 1 {
		t.Errorf("hints %v after one server has gone", h)
	}
	near, err := alice.Connect(t.Context(), bob.Locator())
	if err != nil {
		t.Fatal(err)
	}
	near.Close()
	(<-got).sock.Close()
}

// G5: who is not there yet is waited for; G10: and may come back with its key.
func TestG5G10AnIntroductionWaitsAndAPeerComesBack(t *testing.T) {
	d := &Door{}
	path, _ := serve(t, d)
	alice, _, _ := newPeer(t)
	bob, _, got := newPeer(t)
	add(t, alice, path)
	to := bob.Locator()
	to.Hints = alice.Locator().Hints
	near, err := alice.Connect(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	soon(t, "it waits", func() bool { return d.Broker.Pending() == 1 })
	gone := add(t, bob, path)
	(<-got).sock.Close()
	bob.Close()
	<-gone
	// The door may not have seen yet that it left, and then refuses it, or hands
	// what comes to the connection that has ended: who asks again gets there.
	soon(t, "it is reached again", func() bool {
		if len(bob.Locator().Hints) == 0 {
			bob.AddServer(path)
		}
		back, err := alice.Connect(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		defer back.Close()
		select {
		case m := <-got:
			m.sock.Close()
			return true
		case <-time.After(100 * time.Millisecond):
			return false
		}
	})
}

func soon(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not so after 30 s: %s", what)
		}
	}
}

// Both doors of one broker lead to each other.
func TestG1APeerWithoutAKeyReachesOneWithIt(t *testing.T) {
	d := &Door{}
	path, _ := serve(t, d)
	bob, _, got := newPeer(t)
	add(t, bob, path)
	mine, theirs, err := intro.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	to := bob.Locator().Designator
	if err := d.Broker.Introduce(t.Context(), intro.Introduction{Name: to, Sender: intro.Sender{Owner: "bus"}, Socket: theirs}, true); err != nil {
		t.Fatal(err)
	}
	m := <-got
	m.sock.Close()
	if m.from.Designator != "" {
		t.Errorf("from %+v", m.from)
	}
}
