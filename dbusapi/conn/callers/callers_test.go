package callers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"

	"davbus.org/davbus/dbusapi/conn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fakeBus answers what a bus answers about names.
type fakeBus struct {
	t    testing.TB
	conn *conn.Conn

	mu       sync.Mutex
	owners   map[string]bool
	rules    map[string]int
	asked    map[string]int
	uid, pid uint32
	pidAgain uint32
	onOwner  func(name string) // called before NameHasOwner is answered
	refuse   bool
}

func (b *fakeBus) HandleCall(c *conn.Conn, m *conn.Incoming) {
	body, err := m.Body()
	if err != nil || len(body) != 1 {
		b.t.Error(m.Member, body, err)
		return
	}
	arg := body[0].(string)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked[m.Member]++
	var answer []any
	switch m.Member {
	case "AddMatch":
		if b.refuse {
			c.Refuse(m, "org.freedesktop.DBus.Error.LimitsExceeded", "too many rules")
			return
		}
		b.rules[arg]++
	case "RemoveMatch":
		if b.rules[arg]--; b.rules[arg] == 0 {
			delete(b.rules, arg)
		}
	case "NameHasOwner":
		if b.onOwner != nil {
			b.onOwner(arg)
		}
		answer = []any{b.owners[arg]}
	case "GetConnectionCredentials":
		answer = []any{map[string]dbus.Variant{"UnixUserID": dbus.MakeVariant(b.uid), "ProcessID": dbus.MakeVariant(b.pid)}}
	case "GetConnectionUnixProcessID":
		answer = []any{b.pidAgain}
	}
	frame, err := c.Encode(m.Answer(dbus.TypeMethodReply, "", answer...), 0)
	if err != nil {
		b.t.Error(err)
	}
	c.Write(frame, nil, nil)
}

func (b *fakeBus) signal(name, before, after string) {
	frame, err := b.conn.Encode(&dbus.Message{Type: dbus.TypeSignal, Body: []any{name, before, after}, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/org/freedesktop/DBus")), dbus.FieldInterface: dbus.MakeVariant(bus),
		dbus.FieldMember: dbus.MakeVariant("NameOwnerChanged"), dbus.FieldSender: dbus.MakeVariant(bus),
	}}, 0)
	if err != nil {
		b.t.Error(err)
	}
	b.conn.Write(frame, nil, nil)
}

func (b *fakeBus) here(names ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		b.owners[name] = true
	}
}

func (b *fakeBus) ruleCount() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range b.rules {
		n += k
	}
	return n
}

func start(t testing.TB) (*fakeBus, *Callers) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = c.(*net.UnixConn)
	}
	b := &fakeBus{t: t, owners: map[string]bool{}, rules: map[string]int{}, asked: map[string]int{}, uid: uint32(os.Geteuid())}
	b.mu.Lock()
	b.conn = conn.New(ends[0], true, conn.Options{Handler: b})
	b.mu.Unlock()
	c := conn.New(ends[1], true, conn.Options{})
	s := New(c)
	t.Cleanup(func() { s.Close(); c.Close(); b.conn.Close() })
	return b, s
}

func soon(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); runtime.Gosched() {
		if ok() {
			return
		}
	}
	t.Fatal("never happened: ", what)
}

func TestLeavingIsToldToAllWhoWatchAndToNobodyElse(t *testing.T) {
	b, s := start(t)
	b.here(":1.1", ":1.2")
	told := make(chan string, 10)
	watch := func(name, what string) func() {
		stop, err := s.Gone(name, func() { told <- what })
		if err != nil {
			t.Fatal(err)
		}
		return stop
	}
	watch(":1.1", "one")
	watch(":1.1", "two")
	stopThree := watch(":1.1", "three")
	watch(":1.2", "other")
	if n := b.ruleCount(); n != 2 || s.Watched() != 2 {
		t.Errorf("%d rules, %d watched", n, s.Watched())
	}
	stopThree()
	stopThree()
	b.signal(":1.1", "", ":1.1") // it came
	b.signal(":1.3", ":1.3", "") // nobody's
	b.signal(":1.1", ":1.1", "")
	got := map[string]bool{<-told: true, <-told: true}
	if !got["one"] || !got["two"] {
		t.Error(got)
	}
	soon(t, "one rule is left", func() bool { return b.ruleCount() == 1 && s.Watched() == 1 })
	select {
	case what := <-told:
		t.Error(what, "was told too")
	default:
	}
}

func TestWhoIsGoneAlreadyIsToldAtOnce(t *testing.T) {
	b, s := start(t)
	told := make(chan struct{}, 2)
	stop, err := s.Gone(":1.9", func() { told <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	<-told
	stop()
	// One leaves in the very moment in which it is asked about.
	b.mu.Lock()
	b.onOwner = func(name string) { b.owners[name] = true; b.signal(name, name, "") }
	b.mu.Unlock()
	if _, err := s.Gone(":1.8", func() { told <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	<-told
	// And one right after.
	b.mu.Lock()
	b.onOwner = func(name string) {
		b.owners[name] = true
	}
	b.mu.Unlock()
	if _, err := s.Gone(":1.7", func() { told <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	b.signal(":1.7", ":1.7", "")
	<-told
	soon(t, "no rule is left", func() bool { return b.ruleCount() == 0 && s.Watched() == 0 })
}

func TestAThousandProgramsMayHoldSomething(t *testing.T) {
	b, s := start(t)
	b.mu.Lock()
	b.onOwner = func(name string) { b.owners[name] = true }
	b.mu.Unlock()
	var stops []func()
	for n := range maxWatched {
		stop, err := s.Gone(fmt.Sprint(":1.", n), func() {})
		if err != nil {
			t.Fatal(n, err)
		}
		stops = append(stops, stop)
	}
	if _, err := s.Gone(":1.5", func() {}); err != nil {
		t.Error("one that is watched already: ", err)
	}
	_, err := s.Gone(":2.1", func() {})
	if e, ok := errors.AsType[*dbus.Error](err); !ok || !strings.HasSuffix(e.Name, "LimitsExceeded") {
		t.Error(err)
	}
	stops[7]()
	if _, err := s.Gone(":2.1", func() {}); err != nil {
		t.Error(err)
	}
	soon(t, "a rule is given back", func() bool { return b.ruleCount() == maxWatched })
}

func TestARefusedRuleIsAnErrorAndAskedForAgain(t *testing.T) {
	b, s := start(t)
	b.here(":1.1")
	b.mu.Lock()
	b.refuse = true
	b.mu.Unlock()
	if _, err := s.Gone(":1.1", func() { t.Error("told") }); err == nil || s.Watched() != 0 {
		t.Error(err, s.Watched())
	}
	b.mu.Lock()
	b.refuse = false
	b.mu.Unlock()
	stop, err := s.Gone(":1.1", func() {})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	soon(t, "no rule is left", func() bool { return b.ruleCount() == 0 })
	s.Close()
	if _, err := s.Gone(":1.1", func() {}); err == nil {
		t.Error("after the end")
	}
}

func TestManyWatchAndLeaveAtOnce(t *testing.T) {
	b, s := start(t)
	b.mu.Lock()
	b.onOwner = func(name string) { b.owners[name] = true }
	b.mu.Unlock()
	var wg sync.WaitGroup
	for n := range 200 {
		wg.Go(func() {
			name := fmt.Sprint(":1.", n%7)
			stop, err := s.Gone(name, func() {})
			if err != nil {
				t.Error(err)
				return
			}
			if n%20 == 0 {
				b.signal(name, name, "")
			}
			stop()
		})
	}
	wg.Wait()
	soon(t, "no rule is left", func() bool { return b.ruleCount() == 0 && s.Watched() == 0 })
}
