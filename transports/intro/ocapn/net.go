package ocapn

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"davbus.org/davbus/transports/intro"
	"davbus.org/davbus/transports/private"
)

// ErrNoServer is why a peer cannot be reached: it names no server that this one is
// at too.
var ErrNoServer = errors.New("there is no server that both peers are at")

// A Net is a peer at any number of servers.
type Net struct {
	key      ed25519.PrivateKey
	incoming func(from Locator, sock *net.UnixConn)

	mu      sync.Mutex
	servers map[string]*wire // by the designator of the server's key
	work    sync.WaitGroup
}

// NewNet makes a peer with a key, which may be kept for ever. incoming gets each
// socket that is introduced; it must not wait, and closes it.
func NewNet(key ed25519.PrivateKey, incoming func(from Locator, sock *net.UnixConn)) *Net {
	return &Net{key: key, incoming: incoming, servers: map[string]*wire{}}
}

// Locator says where this peer is: its hints are the servers that it is at.
func (n *Net) Locator() Locator {
	l := Locator{Designator: Designator(n.key.Public().(ed25519.PublicKey)), Transport: Transport}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.servers) > 0 {
		l.Hints = map[string]string{}
		for s := range n.servers {
			l.Hints[s] = "t"
		}
	}
	return l
}

// AddServer registers at one more server. gone tells once why it ended: nil if it
// was in good order. Its hint is taken back before.
func (n *Net) AddServer(path string) (gone <-chan error, err error) {
	sock, err := private.Dial(path)
	if err != nil {
		return nil, err
	}
	w := newWire(private.NewFileConn(sock))
	w.Patience = 30 * time.Second
	server, err := n.register(w)
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("cannot register at %s: %w", path, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.servers[server] != nil {
		w.Close()
		return nil, fmt.Errorf("cannot register at %s: this peer is there already", path)
	}
	n.servers[server] = w
	ended := make(chan error, 1)
	n.work.Go(func() {
		err := n.listen(w)
		n.mu.Lock()
		delete(n.servers, server)
		n.mu.Unlock()
		w.Close()
		ended <- err
	})
	return ended, nil
}

// register shows this peer's key to a server, and has it show its own.
func (n *Net) register(w *wire) (server string, err error) {
	if err := w.SetReadDeadline(time.Now().Add(w.Patience)); err != nil {
		return "", err
	}
	me := Locator{Designator: Designator(n.key.Public().(ed25519.PublicKey))}
	challenge := newChallenge()
	if err := w.send(Record{Symbol("uds:register"), []any{me.record(false), challenge}}); err != nil {
		return "", err
	}
	r, err := w.expect("uds:server-response", 3)
	if err != nil {
		return "", err
	}
	key, err := keyOf(r.Args[0])
	if err == nil {
		err = verify(key, challenge, r.Args[2])
	}
	theirs, ok := r.Args[1].([]byte)
	if err == nil && (!ok || len(theirs) != challengeSize) {
		err = syntax("a challenge of %d bytes is missing", challengeSize)
	}
	if err != nil {
		return "", err
	}
	if err := w.send(Record{Symbol("uds:signature"), []any{theirs, ed25519.Sign(n.key, theirs)}}); err != nil {
		return "", err
	}
	return Designator(key), w.SetReadDeadline(time.Time{})
}

// listen takes what a server introduces, until it has gone.
func (n *Net) listen(w *wire) error {
	me := n.Locator()
	for {
		r, err := w.expect("uds:new-connection", 2)
		if err != nil {
			return ended(err)
		}
		f, err := w.socket()
		if err != nil {
			return ended(err)
		}
		sock, err := intro.Socket(f)
		if err != nil {
			return err
		}
		from, _ := locatorOf(r.Args[0]) // false for a sender without a designator
		to, err := locatorOf(r.Args[1])
		if err == nil && !to.Same(me) {
			err = errors.New("the server introduced somebody to another peer here")
		}
		if err != nil {
			sock.Close()
			return err
		}
		n.incoming(from, sock)
	}
}

// Connect has this peer introduced to another one, at the first server that both
// are at. Where nobody takes the socket within 30 seconds it ends.
func (n *Net) Connect(_ context.Context, to Locator) (*net.UnixConn, error) {
	n.mu.Lock()
	var w *wire
	for _, hint := range slices.Sorted(maps.Keys(to.Hints)) {
		if w = n.servers[hint]; w != nil {
			break
		}
	}
	n.mu.Unlock()
	if w == nil {
		return nil, fmt.Errorf("cannot reach %s: %w", to.Designator, ErrNoServer)
	}
	mine, theirs, err := intro.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	if err := w.hand(n.Locator().record(false), to, theirs); err != nil {
		mine.Close()
		return nil, err
	}
	return mine, nil
}

// Close leaves all servers. Sockets that were introduced stay.
func (n *Net) Close() {
	n.mu.Lock()
	for _, w := range n.servers {
		w.Close()
	}
	n.mu.Unlock()
	n.work.Wait()
}

// ended is nil for a connection that ended between two records, or at this end,
// or before the server had read everything.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return err
}
