package secrets

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/conn"
)

// A fake is a Secret Service as far as a client sees it.
type fake struct {
	t testing.TB

	mu          sync.Mutex
	absent      bool
	conns       []*conn.Conn
	sessions    map[dbus.ObjectPath]*session
	collections map[dbus.ObjectPath]*fakeCollection
	aliases     map[string]dbus.ObjectPath
	items       map[dbus.ObjectPath]*fakeItem
	hides       bool // what is in a locked collection is not shown
	prompts     map[dbus.ObjectPath]func() dbus.Variant
	onPrompt    func() (dismissed, answered bool)
	asked       int
	next        int
	weak        []byte // given as our half of the agreement
	moot        chan struct{}
	calls       []string
}

type fakeCollection struct{ locked bool }

type fakeItem struct {
	collection dbus.ObjectPath
	attributes map[string]string
	label      string
	value      string
	modified   uint64
}

func newFake(t testing.TB) (*fake, *Keyring, chan struct{}) {
	f := &fake{t: t, sessions: map[dbus.ObjectPath]*session{}, collections: map[dbus.ObjectPath]*fakeCollection{}, moot: make(chan struct{}, 1),
		aliases: map[string]dbus.ObjectPath{}, items: map[dbus.ObjectPath]*fakeItem{}, prompts: map[dbus.ObjectPath]func() dbus.Variant{}}
	f.onPrompt = func() (bool, bool) { return false, true }
	changed := make(chan struct{}, 100)
	k := New(Options{
		Dial: func(context.Context) (*conn.Conn, error) {
			service, far := bustest.Raw(t, conn.Options{Handler: f})
			f.mu.Lock()
			f.conns = append(f.conns, service)
			f.mu.Unlock()
			return conn.New(far, true, conn.Options{}), nil
		},
		Changed: func() { changed <- struct{}{} },
	})
	t.Cleanup(k.Close)
	return f, k, changed
}

// collection makes a collection that is not locked.
func (f *fake) collection(name string) dbus.ObjectPath {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := servicePath + dbus.ObjectPath("/collection/"+name)
	f.collections[p] = &fakeCollection{}
	return p
}

func (f *fake) item(c dbus.ObjectPath, value string, attributes map[string]string) dbus.ObjectPath {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.add(c, value, "", attributes)
}

func (f *fake) add(c dbus.ObjectPath, value, label string, attributes map[string]string) dbus.ObjectPath {
	f.next++
	p := dbus.ObjectPath(fmt.Sprint(c, "/", f.next))
	f.items[p] = &fakeItem{c, attributes, label, value, uint64(f.next)}
	return p
}

func (f *fake) lock(c dbus.ObjectPath, locked bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.collections[c].locked = locked
}

func (f *fake) values() (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range slices.Sorted(maps.Keys(f.items)) {
		out = append(out, f.items[p].value)
	}
	return out
}

// answers says what comes of a question.
func (f *fake) answers(do func() (dismissed, answered bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onPrompt = do
}

func (f *fake) asks() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *fake) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fake) signal(path dbus.ObjectPath, iface, member string, body ...any) {
	for _, c := range f.conns {
		frame, err := c.Encode(&dbus.Message{Type: dbus.TypeSignal, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: dbus.MakeVariant(path), dbus.FieldInterface: dbus.MakeVariant(iface), dbus.FieldMember: dbus.MakeVariant(member),
		}}, 0)
		if err != nil {
			f.t.Error(err)
			return
		}
		c.Write(frame, nil, nil)
	}
}

func (f *fake) HandleCall(c *conn.Conn, m *conn.Incoming) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, err := m.Body()
	if err != nil {
		f.t.Error(m.Member, err)
		return
	}
	f.calls = append(f.calls, m.Member)
	answer, fault := f.answer(m, body)
	if m.Interface == "org.freedesktop.DBus" {
		answer, fault = nil, ""
	}
	if fault != "" {
		c.Refuse(m, fault, "the fake refuses "+m.Member)
		return
	}
	frame, err := c.Encode(m.Answer(dbus.TypeMethodReply, "", answer...), 0)
	if err != nil {
		f.t.Error(m.Member, err)
		return
	}
	c.Write(frame, nil, nil)
}

func (f *fake) matching(want map[string]string) (open, locked []dbus.ObjectPath) {
	open, locked = []dbus.ObjectPath{}, []dbus.ObjectPath{}
	for _, p := range slices.Sorted(maps.Keys(f.items)) {
		item := f.items[p]
		ok := true
		for k, v := range want {
			ok = ok && item.attributes[k] == v
		}
		switch closed := f.collections[item.collection].locked; {
		case !ok, closed && f.hides:
		case closed:
			locked = append(locked, p)
		default:
			open = append(open, p)
		}
	}
	return open, locked
}

func (f *fake) prompt(do func() dbus.Variant) dbus.ObjectPath {
	f.next++
	p := servicePath + dbus.ObjectPath(fmt.Sprint("/prompt/", f.next))
	f.prompts[p] = do
	return p
}

const (
	noSession = "org.freedesktop.Secret.Error.NoSession"
	isLocked  = "org.freedesktop.Secret.Error.IsLocked"
	noObject  = "org.freedesktop.Secret.Error.NoSuchObject"
)

func (f *fake) answer(m *conn.Incoming, body []any) ([]any, string) {
	if f.absent {
		return nil, "org.freedesktop.DBus.Error.ServiceUnknown"
	}
	switch m.Member {
	case "OpenSession":
		return f.openSession(body)
	case "SearchItems":
		open, locked := f.matching(body[0].(map[string]string))
		return []any{open, locked}, ""
	case "Unlock":
		return f.unlock(body[0].([]dbus.ObjectPath))
	case "ReadAlias":
		if p, ok := f.aliases[body[0].(string)]; ok {
			return []any{p}, ""
		}
		return []any{dbus.ObjectPath("/")}, ""
	case "CreateCollection":
		return []any{dbus.ObjectPath("/"), f.prompt(func() dbus.Variant {
			p := servicePath + "/collection/made"
			f.collections[p] = &fakeCollection{}
			f.aliases["default"] = p
			return dbus.MakeVariant(p)
		})}, ""
	case "CreateItem":
		return f.createItem(m.Path, body)
	case "Prompt":
		f.asked++
		do := f.prompts[m.Path]
		dismissed, answered := f.onPrompt()
		if !answered {
			return nil, ""
		}
		result := dbus.MakeVariant("")
		if !dismissed {
			result = do()
		}
		defer f.signal(m.Path, promptIface, "Completed", dismissed, result)
		return nil, ""
	case "Dismiss":
		f.moot <- struct{}{}
		return nil, ""
	case "Get":
		return f.get(m.Path, body[1].(string))
	}
	return f.onItem(m, body)
}
