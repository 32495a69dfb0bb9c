package dbusapi

import (
	"context"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

// A Plugger is a Host that has plugins.
type Plugger interface {
	// Plugins are all plugins as they stand; the channel, of one place, is told
	// when they may stand differently.
	Plugins() ([]PluginState, <-chan struct{})

	ActivatePlugin(ctx context.Context, id string) error
	RestartPlugin(ctx context.Context, id string) error
	DisconnectPlugin(id string) error

	// RegisterPlugin announces a program as a plugin, and gives where it connects
	// to; RegisterPluginFD gives the connection itself. Both may be called again by
	// the same program, for one more connection.
	RegisterPlugin(r PluginRegistration) (address, cookie string, err error)
	RegisterPluginFD(r PluginRegistration) (*os.File, error)
	UnregisterPlugin(id string, by Caller) error
	ActivatablePlugins(ctx context.Context) ([]string, error)
}

// A PluginState is a plugin as it stands.
type PluginState struct {
	ID       string
	State    string // "activatable", "starting", "connected", "gone", "failed"
	BusName  string
	Kinds    []string
	Protocol uint32
	Pending  uint32
	Restarts uint32
	Failure  engine.Failure
}

// A PluginRegistration is what a program says of itself.
type PluginRegistration struct {
	ID, Name string
	Kinds    []string
	Caller   Caller
}

// A pluginBook has the Plugin objects follow the host.
type pluginBook struct {
	face *Face
	host Plugger // nil: there are no plugins

	mu      sync.Mutex
	objects map[string]*object
	owners  map[[2]string][]func() // of id and caller: what ends with the registration
	err     error
}

// pluginPace is how often at most the numbers of a plugin are announced.
const pluginPace = 200 * time.Millisecond

func newPluginBook(f *Face) *pluginBook {
	host, _ := f.host.(Plugger)
	return &pluginBook{face: f, host: host, objects: map[string]*object{}, owners: map[[2]string][]func(){}}
}

func pluginPath(id string) dbus.ObjectPath {
	return Root + "/plugin/" + dbus.ObjectPath(escape(id))
}

// need gives the host, or says that there is none.
func (b *pluginBook) need() (Plugger, error) {
	if b.host == nil {
		return nil, notInThisBuild("plugins")
	}
	return b.host, nil
}

// follow shows what changes until the face closes.
func (b *pluginBook) follow() {
	if b.host == nil {
		return
	}
	_, changed := b.host.Plugins()
	pace := time.NewTimer(0)
	defer pace.Stop()
	for {
		select {
		case <-b.face.closing.Done():
			return
		case <-changed:
		}
		b.refresh()
		pace.Reset(pluginPace)
		select {
		case <-b.face.closing.Done():
			return
		case <-pace.C:
		}
	}
}

// refresh makes the objects say how the plugins stand now.
func (b *pluginBook) refresh() {
	if b.host == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	states, _ := b.host.Plugins()
	stays := map[string]bool{}
	for _, s := range states {
		stays[s.ID] = true
		b.show(s)
	}
	for id, o := range b.objects {
		if !stays[id] {
			delete(b.objects, id)
			b.fail(b.face.tree.Drop(o.path))
		}
	}
}

// show announces one plugin, or what is new of it; mu is held.
func (b *pluginBook) show(s PluginState) {
	values := props{
		"Id": text(s.ID), "State": s.State, "BusName": text(s.BusName), "Kinds": texts(s.Kinds), "ProtocolVersion": s.Protocol,
		"PendingCalls": s.Pending, "Restarts": s.Restarts, "ErrorName": failureName(s.Failure),
	}
	o := b.objects[s.ID]
	if o == nil {
		o = newObject(pluginPath(s.ID), ifPlugin, values)
		b.objects[s.ID] = o
		i := b.methods(s.ID)
		i.Properties = o.properties(nil)
		b.fail(b.face.tree.Put(o.path, i))
		return
	}
	old := *o.props.Load()
	var changed []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !same(old[key], values[key]) {
			changed = append(changed, key)
		}
	}
	if len(changed) > 0 {
		o.props.Store(&values)
		b.fail(b.face.tree.Changed(o.path, ifPlugin, changed...))
	}
}

func same(a, b any) bool {
	if list, ok := a.([]string); ok {
		return slices.Equal(list, b.([]string))
	}
	return a == b
}

// fail keeps the first error: the bus is gone then, which ends the face.
func (b *pluginBook) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

func (b *pluginBook) methods(id string) tree.Interface {
	of := func(op string, do func(tree.Call, Plugger) error) func(tree.Call, dict) error {
		return func(c tree.Call, in dict) error {
			if err := noOptions(op+" plugin "+name(id), in); err != nil {
				return err
			}
			defer b.refresh()
			return do(c, b.host)
		}
	}
	return tree.Interface{Name: ifPlugin, Methods: map[string]any{
		"Activate":   of("start", func(c tree.Call, h Plugger) error { return h.ActivatePlugin(c.Context(), id) }),
		"Restart":    of("restart", func(c tree.Call, h Plugger) error { return h.RestartPlugin(c.Context(), id) }),
		"Disconnect": of("disconnect", func(_ tree.Call, h Plugger) error { return h.DisconnectPlugin(id) }),
	}}
}

// hold keeps what ends with a registration; letGo ends it.
func (b *pluginBook) hold(id, caller string, end func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := [2]string{id, caller}
	b.owners[key] = append(b.owners[key], end)
}

func (b *pluginBook) letGo(id, caller string) {
	b.mu.Lock()
	ends := b.owners[[2]string{id, caller}]
	delete(b.owners, [2]string{id, caller})
	b.mu.Unlock()
	for _, end := range ends {
		end()
	}
}

// servePlugin offers an account as a plugin: see davbus-plugin(7).
func (f *Face) servePlugin(c tree.Call, id engine.AccountID, in dict) (dbus.ObjectPath, error) {
	o := readOptions("serve "+name(string(id)), in)
	r := StreamRequest{Kind: "plugin", Account: id, ReadOnly: o.bool("read-only", false)}
	return f.streamOf(c, accountPath(id), o, r)
}
