package intro

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// An echo answers everything that a connection sent when its end has come: so it
// shows that one side can end before the other.
func echo(t *testing.T, network, address string) (at string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				all, _ := io.ReadAll(c)
				c.Write(append([]byte("heard "), all...))
			})
		}
	})
	t.Cleanup(func() { l.Close(); work.Wait() })
	return l.Addr().String()
}

// tunnelled is a broker with an offer by "b", whose owner is told on a channel.
func tunnelled(t *testing.T, targetAt string) (*Broker, *Tunnel, <-chan TunnelEvent) {
	t.Helper()
	b := NewBroker()
	events := make(chan TunnelEvent, 1000)
	if _, err := b.Register(Registration{Name: Name{Name: "desk", Public: true}, Owner: "b", Tunnel: func(e TunnelEvent) { events <- e }}); err != nil {
		t.Fatal(err)
	}
	if err := b.Offer("b", Offer{Name: "desk", Service: "rfb", Target: targetAt, Parameters: map[string]any{"screen": "1"}}); err != nil {
		t.Fatal(err)
	}
	tunnel, err := b.Take("desk", "rfb", me("a"))
	if err != nil {
		t.Fatal(err)
	}
	return b, tunnel, events
}

func next(t *testing.T, events <-chan TunnelEvent) TunnelEvent {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(30 * time.Second):
		t.Fatal("the owner of the offer is not told")
		panic("")
	}
}

func TestT13T14T18ConnectionsAreCarriedWithTheirHalfCloseAndTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, at := range []string{"unix:" + echo(t, "unix", path), "tcp:" + echo(t, "tcp", "127.0.0.1:0")} {
		_, tunnel, events := tunnelled(t, at)
		if tunnel.Parameters().(map[string]any)["screen"] != "1" {
			t.Errorf("parameters %v", tunnel.Parameters())
		}
		for n := uint32(1); n <= 3; n++ {
			near, far := pair(t)
			sock, err := Socket(far)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- tunnel.Carry(t.Context(), sock) }()
			io.WriteString(near, "hello")
			near.CloseWrite()
			got, err := io.ReadAll(near)
			if err := <-done; err != nil {
				t.Error(err)
			}
			if err != nil || string(got) != "heard hello" {
				t.Errorf("%s: %q %v", at, got, err)
			}
			begun, ended := next(t, events), next(t, events)
			if begun.Connected != n || begun.Service != "rfb" || begun.Name != "desk" || begun.Taker.Owner != "a" || ended.Disconnected != n || ended.Err != nil {
				t.Errorf("told %+v, %+v", begun, ended)
			}
		}
	}
}

func TestWithdrawingEndsConnectionsAndTellsBoth(t *testing.T) {
	for _, how := range []string{"withdraw", "leave", "taker"} {
		b, tunnel, events := tunnelled(t, "tcp:"+echo(t, "tcp", "127.0.0.1:0"))
		near, far := pair(t)
		sock, err := Socket(far)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- tunnel.Carry(ctx, sock) }()
		next(t, events)
		switch how {
		case "withdraw":
			if err := b.Withdraw("b", "desk", "rfb"); err != nil {
				t.Error(err)
			}
		case "leave":
			b.Leave("b")
		case "taker":
			cancel()
		}
		err = <-done
		if how == "taker" && !errors.Is(err, context.Canceled) || how != "taker" && nameOf(err) != PeerRefused {
			t.Errorf("%s: the connection ended with %v", how, err)
		}
		if e := next(t, events); e.Disconnected != 1 || e.Err == nil {
			t.Errorf("%s: told %+v", how, e)
		}
		if !closed(near) {
			t.Errorf("%s: the connection is open", how)
		}
		if how == "taker" {
			continue
		}
		<-tunnel.Withdrawn()
		_, late := pair(t)
		lateSock, err := Socket(late)
		if err != nil {
			t.Fatal(err)
		}
		wants(t, tunnel.Carry(t.Context(), lateSock), PeerRefused)
		_, err = b.Take("desk", "rfb", me("a"))
		wants(t, err, NotFound)
	}
}

// A taker that never reads, and one that never ends, bind what their offer allows
// and no more; another offer goes on.
func TestT14ConnectionsOfAnOfferAreBounded(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var work sync.WaitGroup
	ctx, end := context.WithCancel(t.Context())
	defer work.Wait()
	defer end()
	work.Go(func() { // floods whoever connects
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				for flood := make([]byte, 1<<16); err == nil; {
					_, err = c.Write(flood)
				}
				c.Close()
			})
		}
	})
	b, tunnel, events := tunnelled(t, "unix:"+l.Addr().String())
	carry := func() (net.Conn, chan error) {
		near, far := pair(t)
		sock, err := Socket(far)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		work.Go(func() { done <- tunnel.Carry(ctx, sock) })
		return near, done
	}
	for range maxTunnels {
		carry()
		next(t, events)
	}
	_, done := carry()
	wants(t, <-done, LimitExceeded)
	if err := b.Offer("b", Offer{Name: "desk", Service: "other", Target: "tcp:" + echo(t, "tcp", "127.0.0.1:0")}); err != nil {
		t.Fatal(err)
	}
	if tunnel, err = b.Take("desk", "other", me("a")); err != nil {
		t.Fatal(err)
	}
	near, done := carry()
	near.(*net.UnixConn).CloseWrite()
	if got, err := io.ReadAll(near); err != nil || string(got) != "heard " {
		t.Errorf("the other offer suffers: %q %v", got, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	end()
	l.Close()
}

func TestOffersAreCheckedListedAndCounted(t *testing.T) {
	b, _, _ := tunnelled(t, "unix:/tmp/secret/place")
	for targetAt, ok := range map[string]bool{
		"unix:/" + strings.Repeat("p", 106): true, "unix:/" + strings.Repeat("p", 107): false, "unix:relative": false, "unix:@name": false,
		"tcp:127.0.0.1:80": true, "tcp:[::1]:80": true, "tcp:127.0.0.1:0": false, "tcp:192.0.2.1:80": false, "tcp:localhost:80": false, "exec:ls": false, "": false,
	} {
		_, err := parseTarget(targetAt)
		wants(t, err, map[bool]string{false: Invalid}[ok])
	}
	wants(t, b.Offer("b", Offer{Name: "desk", Service: "rfb", Target: "tcp:127.0.0.1:1"}), AlreadyExists)
	wants(t, b.Offer("a", Offer{Name: "desk", Service: "x", Target: "tcp:127.0.0.1:1"}), NotFound)
	wants(t, b.Offer("b", Offer{Name: "desk", Service: "X", Target: "tcp:127.0.0.1:1"}), Invalid)
	wants(t, b.Withdraw("a", "desk", "rfb"), NotFound)
	keep(t, b, "c", Name{Name: "socket-door"})
	wants(t, b.Offer("c", Offer{Name: "socket-door", Service: "x", Target: "tcp:127.0.0.1:1"}), NotSupported)
	for i := range maxOffers {
		err := b.Offer("b", Offer{Name: "desk", Service: "n" + string(rune('a'+i)), Target: "tcp:127.0.0.1:1"})
		wants(t, err, map[bool]string{true: LimitExceeded}[i == maxOffers-1])
	}
	mine, others := b.Offers("b"), b.Offers("a")
	if len(mine) != maxOffers || len(others) != maxOffers || mine[0].Service != "na" || !mine[0].Own || others[0].Own {
		t.Errorf("listed %+v to the owner, %+v to others", mine, others)
	}
	for _, o := range mine {
		if o.Target != "" {
			t.Error("a list tells where the service listens")
		}
	}
	_, err := b.Take("desk", "rfb", Sender{Owner: "s", Sandboxed: true, App: "x"})
	wants(t, err, Denied)
	_, err = b.Take("nobody", "rfb", me("a"))
	wants(t, err, NotFound)
	_, err = b.Take("desk", "smtp", me("a"))
	wants(t, err, NotFound)
}

func TestAServiceThatDoesNotAnswerIsSaidSo(t *testing.T) {
	for _, at := range []string{"unix:" + filepath.Join(t.TempDir(), "none"), "tcp:127.0.0.1:1"} {
		_, tunnel, events := tunnelled(t, at)
		near, far := pair(t)
		sock, err := Socket(far)
		if err != nil {
			t.Fatal(err)
		}
		err = tunnel.Carry(t.Context(), sock)
		wants(t, err, PeerRefused)
		if next(t, events); next(t, events).Err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("%v", err)
		}
		sock.Close()
		near.Close()
	}
}
