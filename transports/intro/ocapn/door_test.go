package ocapn

import (
	"crypto/ed25519"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/transports/intro"
	"davbus.org/davbus/transports/peer"
	"davbus.org/davbus/transports/private"
)

func TestG4ForgersAndOthersWhoBreakTheProtocolAreSentAway(t *testing.T) {
	ended := make(chan error, 10)
	tell := func(_ peer.Cred, err error) { ended <- err }
	path, _ := serve(t, &Door{Ended: tell})
	hasty, _ := serve(t, &Door{Ended: tell, Patience: 50 * time.Millisecond})
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
		at := path
		if what == "no byte" {
			at = hasty
		}
		sock, err := private.Dial(at)
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
}
