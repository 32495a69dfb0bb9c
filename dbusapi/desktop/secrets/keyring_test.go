package secrets

import (
	"bytes"
	"context"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"

	"davbus.org/davbus/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ours(name string) map[string]string {
	return map[string]string{"service": "davbus", "account": "work", "name": name}
}

func get(t *testing.T, k *Keyring, want string) {
	t.Helper()
	got, err := k.Get(t.Context(), "work", "password")
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func isKind(t *testing.T, err error, kind engine.Kind) {
	t.Helper()
	if !engine.IsKind(err, kind) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v, want an error of kind %v", err, kind)
	}
}

func TestASecretIsStoredReadReplacedAndForgotten(t *testing.T) {
	f, k, _ := newFake(t)
	f.aliases["default"] = f.collection("kdewallet")
	_, err := k.Get(t.Context(), "work", "password")
	isKind(t, err, engine.AuthRequired)
	for _, value := range []string{"s3cret", "", strings.Repeat("x", 16), "bytes \x00\xff"} {
		if err := k.Set(t.Context(), "work", "password", []byte(value)); err != nil {
			t.Fatal(err)
		}
		get(t, k, value)
	}
	if err := k.Set(t.Context(), "home", "password", []byte("other")); err != nil {
		t.Fatal(err)
	}
	if got := f.values(); !slices.Equal(got, []string{"bytes \x00\xff", "other"}) {
		t.Errorf("the keyring holds %q", got)
	}
	for range 2 { // twice is no error
		if err := k.Forget(t.Context(), "work", "password"); err != nil {
			t.Error(err)
		}
	}
	if got := f.values(); !slices.Equal(got, []string{"other"}) {
		t.Errorf("the keyring holds %q", got)
	}
	if slices.Contains(f.called(), "Prompt") {
		t.Error("somebody was asked")
	}
}

func TestWhatSecretToolStoredIsFoundAndUpdatedInPlace(t *testing.T) {
	f, k, _ := newFake(t)
	c := f.collection("login")
	more := ours("password")
	more["xdg:schema"] = "org.freedesktop.Secret.Generic"
	f.item(c, "old", ours("password"))
	f.item(c, "newer", more)
	get(t, k, "newer")
	if err := k.Set(t.Context(), "work", "password", []byte("newest")); err != nil {
		t.Error(err)
	}
	if got := f.values(); !slices.Equal(got, []string{"newest", "newest"}) {
		t.Errorf("the keyring holds %q", got)
	}
}

func TestALockedKeyringAsksOnceAndIsThenLeftInPeace(t *testing.T) {
	f, k, changed := newFake(t)
	c := f.collection("login")
	f.item(c, "s3cret", ours("password"))
	f.lock(c, true)
	_, err := k.Get(Quiet(t.Context()), "work", "password")
	isKind(t, err, engine.SecretLocked)
	if n := f.asks(); n != 0 {
		t.Error("asked although nobody was to be")
	}
	f.answers(func() (bool, bool) { return true, true })
	for range 3 {
		_, err = k.Get(t.Context(), "work", "password")
		isKind(t, err, engine.SecretLocked)
	}
	if n := f.asks(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	// Another secret that is missing is missing, not locked.
	_, err = k.Get(t.Context(), "work", "token")
	isKind(t, err, engine.AuthRequired)
	// Somebody unlocks it by other means: that is noticed.
	f.lock(c, false)
	f.mu.Lock()
	f.signal(servicePath, serviceIface, "CollectionChanged", c)
	f.mu.Unlock()
	<-changed
	get(t, k, "s3cret")
	// Locked again: the question may be asked again, since the keyring changed.
	f.lock(c, true)
	f.answers(func() (bool, bool) { return false, true })
	get(t, k, "s3cret")
	if n := f.asks(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

func TestAKeyringThatHidesWhatIsLockedIsUnlockedFirst(t *testing.T) {
	f, k, _ := newFake(t)
	c := f.collection("db")
	f.item(c, "s3cret", ours("password"))
	f.lock(c, true)
	f.hides = true
	_, err := k.Get(Quiet(t.Context()), "work", "password")
	isKind(t, err, engine.SecretLocked)
	get(t, k, "s3cret")
	_, err = k.Get(t.Context(), "work", "token")
	isKind(t, err, engine.AuthRequired)
}

func TestSecretsGoToTheDefaultThenLoginThenAny(t *testing.T) {
	for name, c := range map[string]struct {
		collections []string
		aliases     map[string]string
		locked      string
		want        string
	}{
		"default":         {[]string{"a", "b", "login"}, map[string]string{"default": "b", "session": "session"}, "", "b"},
		"default, locked": {[]string{"a", "b"}, map[string]string{"default": "b"}, "b", "b"},
		"login by alias":  {[]string{"a", "x"}, map[string]string{"login": "x"}, "", "x"},
		"login by name":   {[]string{"a", "login"}, nil, "", "login"},
		"any that lasts":  {[]string{"a", "b"}, map[string]string{"session": "a"}, "", "b"},
		"a new one":       {[]string{"session"}, map[string]string{"session": "session"}, "", "made"},
		"not even that":   {nil, nil, "", "made"},
	} {
		f, k, _ := newFake(t)
		for _, n := range c.collections {
			f.collection(n)
		}
		for a, n := range c.aliases {
			f.aliases[a] = servicePath + dbus.ObjectPath("/collection/"+n)
		}
		if c.locked != "" {
			f.lock(servicePath+dbus.ObjectPath("/collection/"+c.locked), true)
		}
		if err := k.Set(t.Context(), "work", "password", []byte("s3cret")); err != nil {
			t.Error(name, err)
			continue
		}
		f.mu.Lock()
		for p, item := range f.items {
			if want := string(servicePath) + "/collection/" + c.want; string(item.collection) != want || item.label != "davbus: work (password)" {
				t.Errorf("%s: it is at %s with label %q, not in %s", name, p, item.label, want)
			}
		}
		f.mu.Unlock()
	}
}

func TestWithoutAnyCollectionAPersonIsNeeded(t *testing.T) {
	f, k, _ := newFake(t)
	isKind(t, k.Set(Quiet(t.Context()), "work", "password", []byte("s3cret")), engine.NotFound)
	f.answers(func() (bool, bool) { return true, true })
	isKind(t, k.Set(t.Context(), "work", "password", []byte("s3cret")), engine.NotFound)
	if n := f.asks(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestNoKeyringIsNeitherMissingNorLocked(t *testing.T) {
	f, k, _ := newFake(t)
	f.absent = true
	_, err := k.Get(t.Context(), "work", "password")
	isKind(t, err, engine.Offline)
	isKind(t, k.Set(t.Context(), "work", "password", []byte("s3cret")), engine.Offline)
	isKind(t, k.Forget(t.Context(), "work", "password"), engine.Offline)
	f.mu.Lock()
	f.absent = false
	f.mu.Unlock()
	f.item(f.collection("login"), "s3cret", ours("password"))
	get(t, k, "s3cret")

	nowhere := New(Options{Dial: Dial("unix:path=/nowhere")})
	_, err = nowhere.Get(t.Context(), "work", "password")
	isKind(t, err, engine.Offline)
	if err := nowhere.Listen(t.Context()); err == nil {
		t.Error("no error")
	}
	nowhere.Close()
}

func TestARestartedServiceAndALostBusAreSurvived(t *testing.T) {
	f, k, changed := newFake(t)
	if err := k.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(f.called(), "OpenSession") {
		t.Error("listening started the service")
	}
	f.item(f.collection("login"), "s3cret", ours("password"))
	get(t, k, "s3cret")
	f.mu.Lock()
	clear(f.sessions) // as after a restart
	f.signal("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged", serviceName, ":1.1", "")
	f.mu.Unlock()
	<-changed
	get(t, k, "s3cret")
	f.mu.Lock()
	old := f.conns[len(f.conns)-1]
	f.mu.Unlock()
	old.Close()
	k.one <- struct{}{}
	bus := k.link.bus
	<-k.one
	<-bus.Done()
	get(t, k, "s3cret")
}

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
