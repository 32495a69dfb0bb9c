// Package ocapn is the door of introductions for programs that speak the records
// of the Unix-domain-socket netlayer of OCapN: a peer shows that it has the
// private key of its designator, and is then handed sockets of peers who ask for
// it, and asks for others. What is said on these sockets, CapTP, is theirs.
//
// The records sign a bare challenge, not whose server it is of; and nothing binds
// the socket to the keys before CapTP has begun. So this door is closed unless it
// is asked for. [Bind] is for peers of ours that want more.
package ocapn

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"sync"

	"davbus.org/davbus/transports/private"
)

const challengeSize = 64

func newChallenge() []byte {
	b := make([]byte, challengeSize)
	rand.Read(b)
	return b
}

// A wire carries records, and sockets between them. One goroutine reads; several
// may write.
type wire struct {
	*private.FileConn
	in  *reader
	out sync.Mutex
}

func newWire(c *private.FileConn) *wire {
	return &wire{FileConn: c, in: &reader{in: bufio.NewReader(c)}}
}

// next reads a record.
func (w *wire) next() (Record, error) {
	v, err := w.in.read()
	if err != nil {
		return Record{}, err
	}
	r, ok := v.(Record)
	if !ok {
		return r, syntax("a %T where a record should be", v)
	}
	return r, nil
}

// expect reads a record of some label with so many arguments.
func (w *wire) expect(label Symbol, args int) (Record, error) {
	r, err := w.next()
	if err == nil && (r.Label != label || len(r.Args) != args) {
		err = syntax("a record %v of %d where %s of %d should be", r.Label, len(r.Args), label, args)
	}
	return r, err
}

// socket reads the four bytes that follow an introduction, and the socket.
func (w *wire) socket() (*os.File, error) {
	if _, err := io.ReadFull(w.in.in, make([]byte, 4)); err != nil {
		return nil, err
	}
	files, err := w.TakeFiles(1)
	if err != nil {
		return nil, err
	}
	return files[0], nil
}

func (w *wire) send(r Record) error {
	b, err := Append(nil, r)
	if err != nil {
		return err
	}
	w.out.Lock()
	defer w.out.Unlock()
	_, err = w.Write(b)
	return err
}

// hand sends an introduction with its socket, which stays open here.
func (w *wire) hand(from any, to Locator, socket *os.File) error {
	b, err := Append(nil, Record{Symbol("uds:new-connection"), []any{from, to.record(false)}})
	if err != nil {
		return err
	}
	w.out.Lock()
	defer w.out.Unlock()
	if _, err := w.Write(b); err != nil {
		return err
	}
	_, err = w.WriteFiles([]byte{0x39, 0x30, 0, 0}, []*os.File{socket}) // 12345, by custom
	return err
}

// publicKey is a key as records have it.
func publicKey(key ed25519.PublicKey) List {
	return List{Symbol("public-key"), List{Symbol("ecc"), List{Symbol("curve"), Symbol("Ed25519")},
		List{Symbol("flags"), Symbol("eddsa")}, List{Symbol("q"), []byte(key)}}}
}

func keyOf(v any) (ed25519.PublicKey, error) {
	var got []byte
	if outer, ok := v.(List); ok && len(outer) == 2 && outer[0] == Symbol("public-key") {
		if ecc, ok := outer[1].(List); ok && len(ecc) == 4 && ecc[0] == Symbol("ecc") {
			if q, ok := ecc[3].(List); ok && len(q) == 2 && q[0] == Symbol("q") {
				got, _ = q[1].([]byte)
			}
		}
	}
	if len(got) != ed25519.PublicKeySize {
		return nil, syntax("no public key of Ed25519")
	}
	return got, nil
}

// signature is one as records have it.
func signature(sig []byte) List {
	return List{Symbol("sig-val"), List{Symbol("eddsa"), List{Symbol("r"), sig[:32]}, List{Symbol("s"), sig[32:]}}}
}

// signatureOf takes the forms that are in use: the list, the same in a record
// with what was signed, and the plain bytes.
func signatureOf(v any) ([]byte, error) {
	switch v := v.(type) {
	case []byte:
		if len(v) == ed25519.SignatureSize {
			return v, nil
		}
	case Record:
		if v.Label == Symbol("uds:signature") && len(v.Args) == 2 {
			if _, nested := v.Args[1].(Record); !nested {
				return signatureOf(v.Args[1])
			}
		}
	case List:
		if len(v) == 2 && v[0] == Symbol("sig-val") {
			if e, ok := v[1].(List); ok && len(e) == 3 && e[0] == Symbol("eddsa") {
				r, okR := half(e[1], "r")
				s, okS := half(e[2], "s")
				if okR && okS {
					return append(append([]byte{}, r...), s...), nil
				}
			}
		}
	}
	return nil, syntax("no signature of Ed25519")
}

func half(v any, name Symbol) ([]byte, bool) {
	l, ok := v.(List)
	if !ok || len(l) != 2 || l[0] != name {
		return nil, false
	}
	b, ok := l[1].([]byte)
	return b, ok && len(b) == 32
}

func verify(key ed25519.PublicKey, challenge []byte, sig any) error {
	b, err := signatureOf(sig)
	if err == nil && !ed25519.Verify(key, challenge, b) {
		err = fmt.Errorf("the signature is not that of %s", Designator(key))
	}
	return err
}
