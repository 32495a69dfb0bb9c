package dbusapi

import (
	"context"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/engine"
)

// fakePlugins are a host's plugins, kept in memory.
type fakePlugins struct {
	mu      sync.Mutex
	states  map[string]PluginState
	owners  map[string]string
	did     []string
	fails   func(method string) error
	changed chan struct{}
}

func newFakePlugins() *fakePlugins {
	return &fakePlugins{states: map[string]PluginState{"todo": {ID: "todo", State: "activatable", Kinds: []string{"calendar"}}},
		owners: map[string]string{}, changed: make(chan struct{}, 1)}
}

func (p *fakePlugins) Plugins() (out []PluginState, _ <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.states {
		out = append(out, s)
	}
	return out, p.changed
}

func (p *fakePlugins) set(s PluginState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states[s.ID] = s
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

func (p *fakePlugins) note(method, what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.did = append(p.did, what)
	return p.fails(method)
}

func (p *fakePlugins) ActivatePlugin(_ context.Context, id string) error {
	return p.note("ActivatePlugin", "activate "+id)
}
func (p *fakePlugins) RestartPlugin(_ context.Context, id string) error {
	return p.note("RestartPlugin", "restart "+id)
}
func (p *fakePlugins) DisconnectPlugin(id string) error {
	return p.note("DisconnectPlugin", "disconnect "+id)
}

func (p *fakePlugins) RegisterPlugin(r PluginRegistration) (string, string, error) {
	if err := p.note("RegisterPlugin", "register "+r.ID); err != nil {
		return "", "", err
	}
	p.mu.Lock()
	p.owners[r.ID] = r.Caller.Name
	p.mu.Unlock()
	p.set(PluginState{ID: r.ID, State: "connected", BusName: r.Caller.Name, Kinds: r.Kinds})
	return "/run/plugins", "c00kie", nil
}

func (p *fakePlugins) RegisterPluginFD(r PluginRegistration) (*os.File, error) {
	if _, _, err := p.RegisterPlugin(r); err != nil {
		return nil, err
	}
	return os.Open(os.DevNull)
}

func (p *fakePlugins) UnregisterPlugin(id string, by Caller) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owners[id] != by.Name {
		return engine.Fail(engine.NotFound, "unregister", id, "this program did not register it")
	}
	delete(p.owners, id)
	delete(p.states, id)
	return nil
}

func (p *fakePlugins) ActivatablePlugins(context.Context) ([]string, error) {
	return []string{"b", "a"}, p.note("ActivatablePlugins", "list")
}

func (b *bench) hasObject(p dbus.ObjectPath) bool {
	all := b.must(Root, "org.freedesktop.DBus.ObjectManager.GetManagedObjects")[0].(map[dbus.ObjectPath]map[string]map[string]dbus.Variant)
	_, ok := all[p]
	return ok
}

func TestAPluginObjectSaysHowThePluginStands(t *testing.T) {
	b := open(t)
	path := Root + "/plugin/todo"
	if got := b.get(path, ifPlugin, "State"); got != "activatable" {
		t.Errorf("State is %v", got)
	}
	b.host.set(PluginState{ID: "todo", State: "failed", Kinds: []string{"calendar"}, Restarts: 3, Pending: 2, Protocol: 1,
		Failure: engine.FailureOf(engine.Fail(engine.PluginGone, "start", "todo", ""))})
	eventually(t, "it has failed", func() bool { return b.get(path, ifPlugin, "State") == "failed" })
	for name, want := range map[string]any{"ErrorName": ours + "PluginGone", "Restarts": uint32(3), "PendingCalls": uint32(2), "ProtocolVersion": uint32(1)} {
		if got := b.get(path, ifPlugin, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	s := b.find("org.freedesktop.DBus.Properties.PropertiesChanged")
	for s.Path != path {
		s = b.find("org.freedesktop.DBus.Properties.PropertiesChanged")
	}
	if _, told := s.Body[1].(map[string]dbus.Variant)["State"]; !told {
		t.Errorf("the signal says %v", s.Body)
	}
}

func TestAPluginIsStartedRestartedAndDisconnected(t *testing.T) {
	b := open(t)
	path := Root + "/plugin/todo"
	for _, method := range []string{"Activate", "Restart", "Disconnect"} {
		b.must(path, ifPlugin+"."+method, none)
		b.fails(invalidArgs, path, ifPlugin+"."+method, opts("force", true))
	}
	b.host.fakePlugins.mu.Lock()
	defer b.host.fakePlugins.mu.Unlock()
	if want := []string{"activate todo", "restart todo", "disconnect todo"}; !slices.Equal(b.host.did, want) {
		t.Errorf("did %v, want %v", b.host.did, want)
	}
}

func TestARegisteredPluginLastsAsLongAsItsProgram(t *testing.T) {
	b := open(t)
	path := Root + "/plugin/mine"
	got := b.must(Root, ifPluginManager+".Register", "mine", opts("kinds", []string{"addressbook"}))
	if got[0] != path || got[1] != "/run/plugins" || got[2] != "c00kie" || !b.hasObject(path) {
		t.Fatalf("got %v", got)
	}
	b.callers.leave()
	eventually(t, "it is gone", func() bool { return !b.hasObject(path) })

	fdOf(t, b.must(Root, ifPluginManager+".RegisterFd", "mine", none)[1:])
	b.callers.be(Caller{Name: ":1.99", Initiator: "other"})
	b.fails(ours+"NotFound", Root, ifPluginManager+".Unregister", "mine")
	b.callers.be(Caller{Name: ":1.7", Initiator: "org.example.App"})
	b.must(Root, ifPluginManager+".Unregister", "mine")
	if b.hasObject(path) || b.callers.followed() > 0 {
		t.Error("it is still there, or its program is still followed")
	}
	b.fails(invalidArgs, Root, ifPluginManager+".Register", "mine", opts("kinds", []string{"mail"}))
	b.fails(invalidArgs, Root, ifPluginManager+".Register", "mine", opts("protocol-version", uint32(2)))
	if got := b.must(Root, ifPluginManager+".ListActivatable")[0]; !slices.Equal(got.([]string), []string{"a", "b"}) {
		t.Errorf("activatable: %v", got)
	}
}

func TestOneCallerRegisters16PluginConnections(t *testing.T) {
	b := open(t)
	for range maxPlugins {
		b.must(Root, ifPluginManager+".Register", "mine", none)
	}
	b.fails(limits, Root, ifPluginManager+".Register", "mine", none)
	b.must(Root, ifPluginManager+".Unregister", "mine")
	b.must(Root, ifPluginManager+".Register", "mine", none)
}

func TestASandboxedProgramRegistersNoPlugin(t *testing.T) {
	b := open(t)
	b.callers.be(Caller{Name: ":1.8", Sandboxed: true})
	b.fails(standard+"AccessDenied", Root, ifPluginManager+".Register", "mine", none)
	b.fails(standard+"AccessDenied", Root+"/plugin/todo", ifPlugin+".Restart", none)
}
