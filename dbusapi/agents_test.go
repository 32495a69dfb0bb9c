package dbusapi

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/engine"
)

// A crowd plays all agents: each by what it does when it is asked.
type crowd struct {
	mu    sync.Mutex
	notes []string
	does  map[dbus.ObjectPath]func(ctx context.Context, method string, args []any) (*conn.Reply, error)
}

func (c *crowd) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

func (c *crowd) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.notes, "; ")
}

func (c *crowd) CallForFiles(ctx context.Context, dest string, path dbus.ObjectPath, method string, args ...any) (*conn.Reply, error) {
	_, member, _ := strings.Cut(method, "Sync1.Agent.")
	c.mu.Lock()
	do := c.does[path]
	c.mu.Unlock()
	if member == "" {
		member = "Ping"
	}
	if member != "Ping" {
		c.note("%s %s", path, member)
	}
	return do(ctx, member, args)
}

func (c *crowd) Tell(dest string, path dbus.ObjectPath, method string, args ...any) error {
	c.note("%s %s%v", path, method[strings.LastIndexByte(method, '.')+1:], args)
	return nil
}

// answers gives an agent that answers every question so.
func answers(values ...any) func(context.Context, string, []any) (*conn.Reply, error) {
	return func(_ context.Context, method string, _ []any) (*conn.Reply, error) {
		if method == "Ping" {
			return &conn.Reply{}, nil
		}
		return &conn.Reply{Body: values}, nil
	}
}

func refuses(name string) func(context.Context, string, []any) (*conn.Reply, error) {
	return func(_ context.Context, method string, _ []any) (*conn.Reply, error) {
		if method == "Ping" {
			return &conn.Reply{}, nil
		}
		return nil, dbus.Error{Name: name, Body: []any{"no"}}
	}
}

// thinks is an agent whose user never answers.
func thinks(asked chan<- string) func(context.Context, string, []any) (*conn.Reply, error) {
	return func(ctx context.Context, method string, args []any) (*conn.Reply, error) {
		if method == "Ping" {
			return &conn.Reply{}, nil
		}
		asked <- args[0].(string)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
}

// gives is an agent that answers with a secret in a pipe.
func gives(secret string) func(context.Context, string, []any) (*conn.Reply, error) {
	return func(_ context.Context, method string, _ []any) (*conn.Reply, error) {
		if method == "Ping" {
			return &conn.Reply{}, nil
		}
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		go func() { defer w.Close(); w.WriteString(secret) }()
		return &conn.Reply{Body: []any{dbus.UnixFDIndex(0)}, Files: []*os.File{r}}, nil
	}
}

// gather registers agents /1, /2 … in this order.
func gather(b *bench, does ...func(context.Context, string, []any) (*conn.Reply, error)) *crowd {
	b.t.Helper()
	c := &crowd{does: map[dbus.ObjectPath]func(context.Context, string, []any) (*conn.Reply, error){}}
	for i, do := range does {
		path := dbus.ObjectPath(fmt.Sprint("/", i+1))
		c.does[path] = do
		b.must(Root, ifManager+".RegisterAgent", path, none)
	}
	b.face.Agents().bind(c)
	return c
}

func TestTheNewestAgentIsAskedFirstAndTheNextOneIfItCannotAnswer(t *testing.T) {
	b := open(t)
	c := gather(b, answers(true), answers("no bool"), refuses("org.freedesktop.DBus.Error.NoReply"), refuses("org.freedesktop.DBus.Error.UnknownMethod"))
	proceed, err := b.face.Agents().Deletions(t.Context(), "home", 20, 30)
	if err != nil || !proceed {
		t.Error(proceed, err)
	}
	want := "/4 ConfirmDeletions; /3 ConfirmDeletions; /2 ConfirmDeletions; /2 Cancel[3]; /1 ConfirmDeletions"
	if got := c.said(); got != want && got != strings.ReplaceAll(want, "/2 Cancel[3]; ", "") {
		t.Errorf("asked %s", got)
	}
}

func TestTheUsersNoIsFinal(t *testing.T) {
	b := open(t)
	c := gather(b, answers("pin"), refuses(ours+"Cancelled"))
	_, err := b.face.Agents().Certificate(t.Context(), "work", "h", "PEM", []string{"expired"})
	if !engine.IsKind(err, engine.Cancelled) || c.said() != "/2 ConfirmCertificate" {
		t.Errorf("%v; asked %s", err, c.said())
	}
}

func TestWithoutAnAgentNobodyIsAsked(t *testing.T) {
	b := open(t)
	b.must(Root, ifManager+".RegisterAgent", dbus.ObjectPath("/a"), opts("handles", []string{"conflicts"}))
	b.face.Agents().bind(&crowd{})
	if _, _, err := b.face.Agents().Secret(t.Context(), SecretQuestion{Account: "work", Name: "password"}); !engine.IsKind(err, engine.NotFound) {
		t.Error(err)
	}
}

func TestAQuestionThatIsMootIsTakenBack(t *testing.T) {
	b := open(t)
	asked := make(chan string, 1)
	c := gather(b, answers(true), thinks(asked))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := b.face.Agents().Deletions(ctx, "home", 1, 2); done <- err }()
	request := <-asked
	cancel()
	if err := <-done; !engine.IsKind(err, engine.Cancelled) {
		t.Error(err)
	}
	if got, want := c.said(), "/2 ConfirmDeletions; /2 Cancel["+request+"]"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
}

func TestAnAgentThatUnregistersOrLeavesWhileItIsAskedIsPassedOver(t *testing.T) {
	b := open(t)
	asked := make(chan string, 2)
	gather(b, answers("later"), thinks(asked))
	leave := map[string]func(){
		"unregisters": func() { b.must(Root, ifManager+".UnregisterAgent", dbus.ObjectPath("/2")) },
		"leaves": func() {
			b.face.Agents().drop(func(x *agent) bool { return x.path == "/1" })
			b.callers.leave()
		},
	}
	for _, how := range []string{"unregisters", "leaves"} {
		done := make(chan error, 1)
		go func() {
			_, err := b.face.Agents().Conflict(t.Context(), "c1", b.host.texts)
			done <- err
		}()
		<-asked
		leave[how]()
		if err := <-done; (err == nil) != (how == "unregisters") || err != nil && !engine.IsKind(err, engine.NotFound) {
			t.Errorf("%s: %v", how, err)
		}
		if how == "unregisters" {
			b.must(Root, ifManager+".RegisterAgent", dbus.ObjectPath("/2"), none)
		}
	}
	if n := len(b.face.Agents().all); n != 0 {
		t.Errorf("%d agents are left", n)
	}
	if n := b.callers.followed(); n != 0 {
		t.Errorf("%d callers are still followed", n)
	}
}

func TestAnAgentThatGivesNoSignOfLifeIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgents(&Face{callers: newFakeCallers()})
		a.settle = func() {} // nothing is published here
		hung := func(ctx context.Context, _ string, _ []any) (*conn.Reply, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		slow := func(_ context.Context, method string, _ []any) (*conn.Reply, error) {
			if method != "Ping" {
				time.Sleep(24 * time.Hour) // a person takes the time that they take
			}
			return &conn.Reply{Body: []any{true}}, nil
		}
		a.bind(&crowd{does: map[dbus.ObjectPath]func(context.Context, string, []any) (*conn.Reply, error){"/1": slow, "/2": hung}})
		for _, path := range []dbus.ObjectPath{"/1", "/2"} {
			if err := a.add(&agent{caller: ":1.1", path: path, handles: []string{AboutDeletions}}); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		proceed, err := a.Deletions(t.Context(), "home", 1, 2)
		if took := time.Since(start); err != nil || !proceed || took != 24*time.Hour+signOfLife {
			t.Error(proceed, err, took)
		}
		a.release()
	})
}

func TestAnAgentsSecretComesInADescriptor(t *testing.T) {
	b := open(t)
	gather(b, gives("s3cret\n"), gives(strings.Repeat("x", maxSecret+2)), gives(""), answers("s3cret-in-a-message"), answers(dbus.UnixFDIndex(7)))
	value, store, err := b.face.Agents().Secret(t.Context(), SecretQuestion{Account: "work", Name: "password", Reason: "missing", User: "me", URL: "https://h/"})
	if err != nil || string(value) != "s3cret" || store != "session" {
		t.Errorf("%q %q %v", value, store, err)
	}
}

func TestAgentsAreCountedAndNamedOnce(t *testing.T) {
	b := open(t)
	for i := range maxAgents {
		b.must(Root, ifManager+".RegisterAgent", dbus.ObjectPath(fmt.Sprint("/", i)), none)
	}
	b.fails(ours+"AlreadyExists", Root, ifManager+".RegisterAgent", dbus.ObjectPath("/1"), none)
	b.fails(standard+"LimitsExceeded", Root, ifManager+".RegisterAgent", dbus.ObjectPath("/x"), none)
	b.must(Root, ifManager+".UnregisterAgent", dbus.ObjectPath("/1"))
	b.must(Root, ifManager+".RegisterAgent", dbus.ObjectPath("/x"), none)
	local := b.face.Join("test", false)
	defer local.Leave()
	finish, known := local.Begin(t.Context(), "Manager.RegisterAgent", []byte(`{"path": "/a", "options": {}}`))
	if _, err := finish(); !known || err == nil || !strings.Contains(err.Error(), "not on") {
		t.Errorf("one that is not on the bus: %v", err)
	}
}

func TestAgentsAreReleasedAtTheEnd(t *testing.T) {
	b := open(t)
	asked := make(chan string, 1)
	c := gather(b, thinks(asked))
	done := make(chan error, 1)
	go func() { _, err := b.face.Agents().Conflict(context.Background(), "c1", b.host.texts); done <- err }()
	<-asked
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("it was answered")
	}
	if got := c.said(); !slices.Contains(strings.Split(got, "; "), "/1 Release[]") {
		t.Errorf("told %s", got)
	}
}

func TestWhatAnAgentIsAskedAboutIsOnTheBus(t *testing.T) {
	b := open(t)
	gather(b, func(_ context.Context, method string, args []any) (*conn.Reply, error) {
		if method == "ResolveConflict" {
			b.get(args[1].(dbus.ObjectPath), ifConflict, "ItemName")
		}
		return &conn.Reply{Body: []any{"later"}}, nil
	})
	for i := range 3 {
		for n := range 2000 { // the publisher has much to do before
			b.host.account("work", func(a *engine.AccountState) { a.DisplayName = fmt.Sprint(i, n) })
		}
		id := fmt.Sprint("new", i)
		b.host.publish(engine.ConflictChanged{State: conflictState(id, 1)})
		if _, err := b.face.Agents().Conflict(t.Context(), id, engine.ConflictTexts{}); err != nil {
			t.Fatal(err)
		}
	}
}
