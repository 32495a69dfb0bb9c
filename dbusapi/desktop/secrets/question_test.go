package secrets

import (
	"bytes"
	"context"
	"encoding/hex"
	"math/big"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"davbus.org/davbus/engine"
)

func TestAQuestionNobodyAnswersIsTakenBack(t *testing.T) {
	f, k, _ := newFake(t)
	c := f.collection("login")
	f.item(c, "s3cret", ours("password"))
	f.lock(c, true)
	shown := make(chan struct{}, 1)
	f.answers(func() (bool, bool) { shown <- struct{}{}; return false, false })
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := k.Get(ctx, "work", "password")
		isKind(t, err, engine.Cancelled)
	})
	<-shown
	cancel()
	wg.Wait()
	<-f.moot
}

func TestOnlyOneQuestionAtATime(t *testing.T) {
	f, k, _ := newFake(t)
	c := f.collection("login")
	f.item(c, "s3cret", ours("password"))
	f.lock(c, true)
	f.answers(func() (bool, bool) { return true, true })
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, err := k.Get(t.Context(), "work", "password")
			isKind(t, err, engine.SecretLocked)
		})
	}
	wg.Wait()
	if n := f.asks(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestPeaceLastsTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(Options{})
		k.snubbed = time.Now()
		time.Sleep(peace - time.Second)
		if k.mayAsk(t.Context()) == nil {
			t.Error("asked too soon")
		}
		time.Sleep(time.Second)
		if err := k.mayAsk(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The key agreement is what others compute too: the values are of an agreement
// done with Python's pow and hmac.
func TestTheKeyIsTheOneOthersCompute(t *testing.T) {
	const wantKey = "553f0fd1cbaa75b81f9e2458702a347c"
	number := func(s string) *big.Int { n, _ := new(big.Int).SetString(s, 16); return n }
	mine := half{number(prime), number("1234567890abcdef1234567890abcdef")}
	theirs := half{number(prime), number("fedcba0987654321fedcba0987654321")}
	a, err := mine.key(theirs.public())
	if err != nil {
		t.Fatal(err)
	}
	b, err := theirs.key(mine.public())
	if err != nil || !bytes.Equal(a, b) || hex.EncodeToString(a) != wantKey {
		t.Errorf("keys %x and %x, %v, want %s", a, b, err, wantKey)
	}
	p := number(prime)
	for _, weak := range [][]byte{nil, {0}, {1}, new(big.Int).Sub(p, big.NewInt(1)).Bytes(), p.Bytes(), bytes.Repeat([]byte{0xff}, 200)} {
		if key, err := mine.key(weak); err == nil {
			t.Errorf("%x was accepted and gives %x", weak, key)
		}
	}
	f, k, _ := newFake(t)
	f.weak = []byte{1}
	_, err = k.Get(t.Context(), "work", "password")
	isKind(t, err, engine.Offline)
}

func TestADamagedSecretIsAnError(t *testing.T) {
	s := &session{path: "/s", key: make([]byte, 16)}
	good, err := s.encipher([]byte("s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := s.decipher(good); err != nil || string(v) != "s3cret" {
		t.Error(v, err)
	}
	short, iv, other := good, good, &session{path: "/s", key: bytes.Repeat([]byte{1}, 16)}
	short.Value, iv.Parameters = good.Value[:15], good.Parameters[:8]
	for _, w := range []wireSecret{short, iv, {Parameters: good.Parameters}} {
		if v, err := s.decipher(w); err == nil {
			t.Errorf("%v gave %q", w, v)
		}
	}
	if v, err := other.decipher(good); err == nil && string(v) == "s3cret" {
		t.Error("the wrong key works")
	}
	again, err := s.encipher([]byte("s3cret"))
	if err != nil || bytes.Equal(again.Value, good.Value) {
		t.Error("the same secret looks the same twice")
	}
}
