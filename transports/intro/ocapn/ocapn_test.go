package ocapn

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"davbus.org/davbus/transports/intro"
	"davbus.org/davbus/transports/peer"
	"davbus.org/davbus/transports/private"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The record that the protocol's documents give for the key 00…1f and a challenge
// of four bytes.
func TestG2TheRecordsAreWrittenAsDocumented(t *testing.T) {
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	r := Record{Symbol("uds:register"), []any{Locator{Designator: Designator(key)}.record(true), bytes.Repeat([]byte{0xaa}, 4)}}
	const want = `<12'uds:register<10'ocapn-peer18'unix-domain-socket52"aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypqf>4:` + "\xaa\xaa\xaa\xaa>"
	got, err := Append(nil, r)
	if err != nil || string(got) != want {
		t.Errorf("written %q, %v", got, err)
	}
	back, err := Parse([]byte(want))
	if err != nil || !reflect.DeepEqual(back, r) {
		t.Errorf("read %#v, %v", back, err)
	}
}

func TestValuesAreReadAsTheyAreWritten(t *testing.T) {
	for _, v := range []any{
		true, false, int64(0), int64(12), int64(-12), []byte{0, 1}, "", "text é", Symbol("a"), List(nil), List{int64(1), List{true}},
		Record{"label", []any{}}, Dict(nil), Dict{{"a", int64(1)}, {"b", Dict{{Symbol("x"), false}}}},
	} {
		b, err := Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Parse(b); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%q gives %#v, %v; want %#v", b, got, err, v)
		}
	}
	// Keys are written in the order of how they are written.
	if b, err := Append(nil, Dict{{"b", true}, {"aa", true}, {"a", true}}); err != nil || string(b) != `{1"at1"bt2"aat}` {
		t.Errorf("%q %v", b, err)
	}
	if _, err := Append(nil, 1.5); !errors.Is(err, ErrSyntax) {
		t.Error(err)
	}
}

func TestWhatIsNoSyrupIsRefused(t *testing.T) {
	for _, s := range []string{
		"", "x", "]", "[}", "[", "<>", "{1\"a}", `{1"bt1"at}`, `{1"at1"at}`, "1", "1x", "01+", "0-", "9999999999999999999+", "5:abc", "tt",
		strings.Repeat("[", maxDepth+2), "99999999:", fmt.Sprint(maxBytes) + ":", "-1+",
	} {
		if v, err := Parse([]byte(s)); err == nil {
			t.Errorf("%q is taken for %#v", s, v)
		}
	}
	if _, err := Parse([]byte(strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth))); err != nil {
		t.Error(err)
	}
	body := strings.Repeat("x", maxBytes-len("65530:"))
	if _, err := Parse(fmt.Appendf(nil, "%d:%s", len(body), body)); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`<12'uds:register<10'ocapn-peer18'unix-domain-socket1"af>4:abcd>`))
	f.Add([]byte("{1\"a[1+2-tf]}"))
	f.Fuzz(func(t *testing.T, in []byte) {
		v, err := Parse(in)
		if err != nil {
			return
		}
		out, err := Append(nil, v)
		if err != nil || !bytes.Equal(in, out) {
			t.Fatalf("%q was read, and is written %q, %v", in, out, err)
		}
		locatorOf(v)
		keyOf(v)
		signatureOf(v)
	})
}

func TestG9LocatorsSurviveBeingWrittenAndRead(t *testing.T) {
	l := Locator{Designator: "aaaq", Transport: Transport}
	hinted := Locator{Designator: "aaaq", Transport: Transport, Hints: map[string]string{"key": "t", "a b": "1&2"}}
	for _, want := range []Sturdyref{{l, ""}, {hinted, ""}, {l, "swiss-1"}, {hinted, "swiss 2"}} {
		text := want.Locator.String()
		if want.Swiss != "" {
			text = want.String()
		}
		if got, err := ParseURI(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s gives %+v, %v", text, got, err)
		}
	}
	if l.String() != "ocapn://aaaq.unix-domain-socket" || !l.Same(hinted) || l.Same(Locator{Designator: "aaaq", Transport: "tcp"}) {
		t.Errorf("%s", l)
	}
	for _, bad := range []string{"", "ocapn:x", "ocapn://", "ocapn://a", "http://a.b", "ocapn://a.b/x", "ocapn://a.b/s/", "ocapn://a.b/s/x/y", "ocapn://u@a.b", "ocapn://a.b?x=1&x=2", "ocapn://a.b?%zz"} {
		if got, err := ParseURI(bad); err == nil {
			t.Errorf("%q is taken for %+v", bad, got)
		}
	}
}

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

func TestG4ForgersAndOthersWhoBreakTheProtocolAreSentAway(t *testing.T) {
	ended := make(chan error, 10)
	path, _ := serve(t, &Door{Patience: 300 * time.Millisecond, Ended: func(_ peer.Cred, err error) { ended <- err }})
	_, key, _ := ed25519.GenerateKey(nil)
	_, other, _ := ed25519.GenerateKey(nil)
	name := Locator{Designator: Designator(key.Public().(ed25519.PublicKey))}
	register := func(w *wire, with ed25519.PrivateKey) error {
		if err := w.send(Record{Symbol("uds:register"), []any{name.record(false), newChallenge()}}); err != nil {
			return err
		}
		r, err := w.expect("uds:server-response", 3)
		if err != nil {
			return err
		}
		return w.send(Record{Symbol("uds:signature"), []any{r.Args[1], signature(ed25519.Sign(with, r.Args[1].([]byte)))}})
	}
	pair := func(w *wire, from Locator) {
		mine, theirs, err := intro.Pair()
		if err != nil {
			t.Fatal(err)
		}
		w.hand(from.record(false), name, theirs)
		theirs.Close()
		mine.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := mine.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("a forged introduction is still open: %v", err)
		}
		mine.Close()
	}
	for what, x := range map[string]struct {
		do   func(w *wire)
		want string
	}{
		"another key's signature": {func(w *wire) { register(w, other) }, "is not that of"},
		"another peer's name": {func(w *wire) {
			register(w, key)
			pair(w, Locator{Designator: Designator(other.Public().(ed25519.PublicKey))})
		}, "in the name of"},
		"no record":   {func(w *wire) { w.Write([]byte("12+")) }, "where a record should be"},
		"another one": {func(w *wire) { w.send(Record{Symbol("hello"), nil}) }, "uds:register"},
		"no Syrup":    {func(w *wire) { w.Write([]byte("GET / HTTP/1.1\r\n")) }, "begins nothing"},
		"no byte":     {func(*wire) {}, "timeout"},
		"no socket": {func(w *wire) {
			register(w, key)
			w.send(Record{Symbol("uds:new-connection"), []any{name.record(false), name.record(false)}})
			w.Write([]byte("abcd"))
		}, "0 came"},
		"too long one": {func(w *wire) { w.Write([]byte("99999:")) }, "more than"},
	} {
		sock, err := private.Dial(path)
		if err != nil {
			t.Fatal(err)
		}
		w := newWire(private.NewFileConn(sock))
		x.do(w)
		select {
		case err := <-ended:
			if !strings.Contains(err.Error(), x.want) {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%s: not sent away", what)
		}
		w.Close()
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
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
