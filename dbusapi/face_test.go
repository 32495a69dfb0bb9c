package dbusapi

import (
	"context"
	"encoding/xml"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"

	"davbus.org/davbus/data"
	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/engine"
)

// A bench is a face with a fake host, and a client that is joined to it without
// a bus. Job 42 runs and job 43 is done.
type bench struct {
	t       testing.TB
	host    *fakeHost
	callers *fakeCallers
	face    *Face
	bus     *fakeBus
	client  *dbus.Conn
	signals chan *dbus.Signal
	peer    *fakePeer
	stop    func() error // ends Serve, once
	leave   func()       // closes the connection to a real bus
}

func open(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, host: newFakeHost(), callers: newFakeCallers(), bus: newFakeBus()}
	running := b.host.newJob("sync", engine.Target{Group: "home"}, "schedule")
	b.host.change(running, func(j *engine.JobState) { j.State = "running" })
	b.host.end(b.host.newJob("sync", engine.Target{Account: "work"}, "schedule"), engine.Success, engine.Failure{})
	tr, err := NewTree()
	if err != nil {
		t.Fatal(err)
	}
	if b.face, err = New(tr, b.host, &fakeLog{"info"}, b.callers); err != nil {
		t.Fatal(err)
	}
	b.client = bustest.Serve(t, tr)
	b.signals = make(chan *dbus.Signal, 10000)
	b.client.Signal(b.signals)
	b.peer = &fakePeer{got: make(chan arrival, 100)}
	if err := b.client.Export(b.peer, peerPath, ifIntroducerPeer); err != nil {
		t.Fatal(err)
	}
	b.serve()
	return b
}

// serve runs the face until the end of the test.
func (b *bench) serve() {
	ctx, cancel := context.WithCancel(context.Background())
	ready, result := make(chan struct{}), make(chan error, 1)
	go func() { result <- b.face.serve(ctx, b.bus, func() { close(ready) }, func() { b.bus.note("finish") }) }()
	b.stop = sync.OnceValue(func() error { cancel(); return <-result })
	b.t.Cleanup(func() {
		if err := b.stop(); err != nil {
			b.t.Error(err)
		}
	})
	<-ready
}

func (b *bench) call(p dbus.ObjectPath, method string, args ...any) ([]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c := b.client.Object("", p).CallWithContext(ctx, method, 0, args...)
	return c.Body, c.Err
}

// must is a call that has to succeed.
func (b *bench) must(p dbus.ObjectPath, method string, args ...any) []any {
	b.t.Helper()
	body, err := b.call(p, method, args...)
	if err != nil {
		b.t.Fatalf("%s of %s: %v", method, p, err)
	}
	return body
}

// fails is a call that has to fail with this error, whose message makes sense
// alone.
func (b *bench) fails(want string, p dbus.ObjectPath, method string, args ...any) string {
	b.t.Helper()
	_, err := b.call(p, method, args...)
	e, ok := errors.AsType[dbus.Error](err)
	if !ok || e.Name != want {
		b.t.Errorf("%s of %s: got %v, want %s", method, p, err, want)
		return ""
	}
	text, _ := e.Body[0].(string)
	if len(text) < 12 {
		b.t.Errorf("%s of %s: %q makes no sense alone", method, p, text)
	}
	return text
}

func (b *bench) get(p dbus.ObjectPath, iface, property string) any {
	b.t.Helper()
	return b.must(p, "org.freedesktop.DBus.Properties.Get", iface, property)[0].(dbus.Variant).Value()
}

// A fakeBus gives every name and keeps notes of what it was asked.
type fakeBus struct {
	mu    sync.Mutex
	notes []string
	taken bool
	done  chan struct{}
	tell  func(*dbus.Signal)
	noted func(string) // called with each note; may be nil
}

func newFakeBus() *fakeBus { return &fakeBus{done: make(chan struct{})} }

func (b *fakeBus) note(s string) {
	b.mu.Lock()
	b.notes = append(b.notes, s)
	b.mu.Unlock()
	if b.noted != nil {
		b.noted(s)
	}
}

func (b *fakeBus) said() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.notes)
}

func (b *fakeBus) RequestName(_ context.Context, name string) error {
	b.note("request " + name)
	if b.taken {
		return conn.ErrNameTaken
	}
	return nil
}
func (b *fakeBus) ReleaseName(_ context.Context, name string) error {
	b.note("release " + name)
	return nil
}
func (b *fakeBus) Flush(context.Context) error { b.note("flush"); return nil }
func (b *fakeBus) Listen(tell func(*dbus.Signal)) func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tell = tell
	return func() {}
}
func (b *fakeBus) Done() <-chan struct{} { return b.done }
func (b *fakeBus) Err() error            { return errors.New("as the test wants") }

// contract reads all interfaces of the XML.
func contract(t *testing.T) map[string]introspect.Interface {
	t.Helper()
	out := map[string]introspect.Interface{}
	for _, text := range documents(t) {
		var node introspect.Node
		if err := xml.Unmarshal([]byte(text), &node); err != nil {
			t.Fatal(err)
		}
		for _, i := range node.Interfaces {
			out[i.Name] = i
		}
	}
	return out
}

func documents(t *testing.T) (texts []string) {
	t.Helper()
	err := fs.WalkDir(data.Interfaces, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".xml" {
			return err
		}
		text, err := fs.ReadFile(data.Interfaces, name)
		texts = append(texts, string(text))
		return err
	})
	if err != nil || len(texts) == 0 {
		t.Fatal("no documents: ", err)
	}
	return texts
}

// documentedErrors are the error names that the XML promises for each method.
func documentedErrors(t *testing.T) map[string][]string {
	t.Helper()
	method := regexp.MustCompile(`(?s)<!--((?:[^-]|-[^-])*)-->\s*<method name="(\w+)"`)
	errorsLine := regexp.MustCompile(`(?s)Errors:(.*)\.\s*$`)
	iface := regexp.MustCompile(`<interface name="([^"]+)"`)
	out := map[string][]string{}
	for _, text := range documents(t) {
		name := iface.FindStringSubmatch(text)[1]
		for _, m := range method.FindAllStringSubmatch(text, -1) {
			if e := errorsLine.FindStringSubmatch(strings.TrimSpace(m[1])); e != nil {
				for _, word := range strings.Split(e[1], ",") {
					out[name+"."+m[2]] = append(out[name+"."+m[2]], strings.TrimSpace(word))
				}
			}
		}
	}
	return out
}

// objectsOf are one object of each kind, with the interfaces that it has.
var objectsOf = map[dbus.ObjectPath][]string{
	Root:                        {ifManager, ifShell, ifControl, ifPluginManager, ifIntroducer},
	LogPath:                     {ifLog},
	Root + "/account/work":      {ifAccount},
	Root + "/account/local/cal": {ifCollection},
	Root + "/group/home":        {ifGroup},
	Root + "/job/42":            {ifJob},
	Root + "/conflict/c1":       {ifConflict},
	Root + "/plugin/todo":       {ifPlugin},
}

// served are the interfaces of objectsOf with the object that has each.
func served() map[string]dbus.ObjectPath {
	out := map[string]dbus.ObjectPath{}
	for p, names := range objectsOf {
		for _, name := range names {
			out[name] = p
		}
	}
	return out
}

// find waits for a signal. The others are put back behind: they may come in any
// order.
func (b *bench) find(full string) *dbus.Signal {
	b.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case s := <-b.signals:
			if s.Name == full {
				return s
			}
			b.signals <- s
		case <-deadline:
			b.t.Fatalf("no signal %s", full)
		}
	}
}
