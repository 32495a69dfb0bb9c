package secrets

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"sync"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/conn"
)

const (
	serviceName     = "org.freedesktop.secrets"
	servicePath     = dbus.ObjectPath("/org/freedesktop/secrets")
	serviceIface    = "org.freedesktop.Secret.Service"
	collectionIface = "org.freedesktop.Secret.Collection"
	itemIface       = "org.freedesktop.Secret.Item"
	promptIface     = "org.freedesktop.Secret.Prompt"
	properties      = "org.freedesktop.DBus.Properties"

	// algorithm is the only one that we speak. The other one is "plain".
	algorithm = "dh-ietf1024-sha256-aes128-cbc-pkcs7"
)

// A link is a connection to the service, and the questions that are open on it.
type link struct {
	bus *conn.Conn

	mu      sync.Mutex
	prompts map[dbus.ObjectPath]chan<- *dbus.Signal
}

// A session is a key that both ends of a link know.
type session struct {
	*link
	path dbus.ObjectPath
	key  []byte
}

// A wireSecret is a secret as it crosses the bus.
type wireSecret struct {
	Session     dbus.ObjectPath
	Parameters  []byte // the initialisation vector
	Value       []byte // enciphered
	ContentType string
}

// prime is that of the Second Oakley Group of RFC 2409, which the algorithm
// names; its generator is 2.
const prime = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74" +
	"020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437" +
	"4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED" +
	"EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF"

// A half is one end's part of the agreement.
type half struct{ p, private *big.Int }

func newHalf() (half, error) {
	p, ok := new(big.Int).SetString(prime, 16)
	if !ok {
		return half{}, errors.New("the prime is broken")
	}
	private, err := rand.Int(rand.Reader, p)
	return half{p, private}, err
}

func (h half) public() []byte {
	return new(big.Int).Exp(big.NewInt(2), h.private, h.p).FillBytes(make([]byte, 128))
}

// key computes the key that only the two ends can compute. A public part that
// would make it foreseeable is refused.
func (h half) key(theirs []byte) ([]byte, error) {
	y := new(big.Int).SetBytes(theirs)
	if y.Cmp(big.NewInt(1)) <= 0 || y.Cmp(new(big.Int).Sub(h.p, big.NewInt(1))) >= 0 {
		return nil, errors.New("the keyring's part of the key agreement makes no sense")
	}
	shared := new(big.Int).Exp(y, h.private, h.p).FillBytes(make([]byte, 128))
	defer clear(shared)
	return hkdf.Key(sha256.New, shared, nil, "", aes.BlockSize)
}

// agree opens a session.
func (l *link) agree(ctx context.Context) (*session, error) {
	mine, err := newHalf()
	if err != nil {
		return nil, err
	}
	var output dbus.Variant
	s := &session{link: l}
	err = l.call(ctx, servicePath, serviceIface+".OpenSession", []any{&output, &s.path}, algorithm, dbus.MakeVariant(mine.public()))
	if err != nil {
		return nil, err
	}
	theirs, ok := output.Value().([]byte)
	if !ok {
		return nil, errors.New("the keyring's part of the key agreement is missing")
	}
	s.key, err = mine.key(theirs)
	return s, err
}

// encipher makes a secret fit for the bus.
func (s *session) encipher(value []byte) (wireSecret, error) {
	block, err := aes.NewCipher(s.key)
	if err != nil {
		return wireSecret{}, err
	}
	iv := make([]byte, aes.BlockSize)
	rand.Read(iv)
	pad := aes.BlockSize - len(value)%aes.BlockSize
	padded := append(bytes.Clone(value), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
	return wireSecret{s.path, iv, padded, "text/plain"}, nil
}

var errCipher = errors.New("the keyring sent a secret that cannot be deciphered")

// decipher undoes encipher.
func (s *session) decipher(w wireSecret) ([]byte, error) {
	block, err := aes.NewCipher(s.key)
	if err != nil {
		return nil, err
	}
	n := len(w.Value)
	if len(w.Parameters) != aes.BlockSize || n == 0 || n%aes.BlockSize != 0 {
		return nil, errCipher
	}
	value := make([]byte, n)
	cipher.NewCBCDecrypter(block, w.Parameters).CryptBlocks(value, w.Value)
	pad := int(value[n-1])
	if pad == 0 || pad > aes.BlockSize || !bytes.Equal(value[n-pad:], bytes.Repeat([]byte{byte(pad)}, pad)) {
		clear(value)
		return nil, errCipher
	}
	return value[:n-pad], nil
}

// call calls the service and stores what it answers.
func (l *link) call(ctx context.Context, path dbus.ObjectPath, method string, into []any, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := l.bus.Call(ctx, serviceName, path, method, args...)
	if err != nil {
		return err
	}
	if err := r.Store(into...); err != nil {
		return fmt.Errorf("the keyring answered %s in an unknown way: %w", method, err)
	}
	return nil
}

// property reads one property.
func (l *link) property(ctx context.Context, path dbus.ObjectPath, iface, name string, into any) error {
	var v dbus.Variant
	if err := l.call(ctx, path, properties+".Get", []any{&v}, iface, name); err != nil {
		return err
	}
	return v.Store(into)
}

// secret reads the secret of an item.
func (s *session) secret(ctx context.Context, item dbus.ObjectPath) ([]byte, error) {
	var w wireSecret
	if err := s.call(ctx, item, itemIface+".GetSecret", []any{&w}, s.path); err != nil {
		return nil, err
	}
	return s.decipher(w)
}

func (s *session) setSecret(ctx context.Context, item dbus.ObjectPath, value []byte) error {
	w, err := s.encipher(value)
	if err != nil {
		return err
	}
	return s.call(ctx, item, itemIface+".SetSecret", nil, w)
}

// newest finds the item that was changed last.
func (l *link) newest(ctx context.Context, items []dbus.ObjectPath) (dbus.ObjectPath, error) {
	if len(items) == 1 {
		return items[0], nil
	}
	best, when := items[0], uint64(0)
	for _, item := range items {
		var modified uint64
		if err := l.property(ctx, item, itemIface, "Modified", &modified); err != nil {
			return "", err
		}
		if modified > when {
			best, when = item, modified
		}
	}
	return best, nil
}
