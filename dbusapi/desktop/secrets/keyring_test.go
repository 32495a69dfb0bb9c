package secrets

import (
	"slices"
	"strings"
	"testing"

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
