package service

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/remote"
)

var _ dbusapi.Plugger = (*host)(nil)

const (
	busService = "org.freedesktop.DBus"
	pluginName = "org.davbus.Plugin1"
)

// activateTime is how long the bus may take to start a plugin.
const activateTime = 30 * time.Second

// Plugins are all plugins as they stand: those that are described, those that
// the bus can start, and those that have registered.
func (h *host) Plugins() ([]dbusapi.PluginState, <-chan struct{}) {
	p := h.program.plugins
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []dbusapi.PluginState
	for _, id := range slices.Sorted(maps.Keys(p.files)) {
		all = append(all, p.state(id))
	}
	return all, p.changed
}

// state is how one plugin stands; mu is held. Of several accounts the best
// counts.
func (p *plugins) state(id string) dbusapi.PluginState {
	f := p.files[id]
	s := dbusapi.PluginState{ID: id, Kinds: f.Kinds, State: "activatable"}
	here := p.registered[id]
	if f.Command == nil && f.Socket == "" && f.Locate == nil && !f.onBus && here == nil {
		s.State = "gone"
	}
	if here != nil {
		s.State, s.BusName, s.Protocol = "connected", here.owner.Name, remote.Protocol
		if here.kinds != nil {
			s.Kinds = here.kinds
		}
	}
	rank := []string{"activatable", "gone", "failed", "starting", "connected"}
	best := 0
	for k := range p.kept {
		if k.id != id {
			continue
		}
		if k.starts > 1 {
			s.Restarts += k.starts - 1
		}
		if k.conn != nil {
			s.Pending += uint32(k.conn.Pending())
		}
		if n := slices.Index(rank, k.state); n > best {
			best, s.Failure = n, k.failure
			if here == nil {
				s.State, s.BusName = k.state, k.busName
			}
		}
		if k.state == "connected" {
			s.Protocol = remote.Protocol
		}
	}
	return s
}

// ActivatePlugin starts the plugin for every account that it keeps.
func (h *host) ActivatePlugin(ctx context.Context, id string) error {
	p := h.program.plugins
	ctx, cancel := context.WithTimeout(ctx, activateTime)
	defer cancel()
	accounts := p.accounts(id)
	if len(accounts) == 0 {
		return missing(id, "it keeps no enabled account; add one of kind plugin:%s", id)
	}
	for _, account := range accounts {
		opened, err := p.keeper.OpenAccount(ctx, account)
		if err != nil {
			return err
		}
		err = opened.Source.(interface{ Connect(context.Context) error }).Connect(ctx)
		opened.Close()
		if err != nil {
			return pluginError(id, err)
		}
	}
	return nil
}

// pluginError is an error of the two that Activate has.
func pluginError(id string, err error) error {
	if engine.IsKind(err, engine.PluginMissing) {
		return err
	}
	return engine.Fail(engine.PluginError, "start the plugin", id, "%w", err)
}

func (h *host) RestartPlugin(ctx context.Context, id string) error {
	p := h.program.plugins
	for _, account := range p.accounts(id) {
		p.forgive(account)
	}
	if err := h.DisconnectPlugin(id); err != nil && !engine.IsKind(err, engine.NotFound) {
		return err
	}
	return h.ActivatePlugin(ctx, id)
}

func (h *host) DisconnectPlugin(id string) error {
	p := h.program.plugins
	p.mu.Lock()
	var connected []*kept
	for k := range p.kept {
		if k.id == id && k.conn != nil {
			connected = append(connected, k)
		}
	}
	p.mu.Unlock()
	if len(connected) == 0 {
		return engine.Fail(engine.NotFound, "disconnect the plugin", id, "it is not connected")
	}
	for _, k := range connected {
		k.Disconnect()
	}
	return nil
}

func (h *host) RegisterPlugin(r dbusapi.PluginRegistration) (address, cookie string, err error) {
	p := h.program.plugins
	if err := p.register(r); err != nil {
		return "", "", err
	}
	cookie, _ = p.newTicket(r.ID, r.Caller.Name, r.Caller.PID)
	return p.door, cookie, nil
}

func (h *host) RegisterPluginFD(r dbusapi.PluginRegistration) (*os.File, error) {
	p := h.program.plugins
	if err := p.register(r); err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, engine.Fail(engine.StorageError, "register the plugin", r.ID, "%w", err)
	}
	p.offer(r.ID, r.Caller.Name, ours)
	p.arrived(r.ID)
	return theirs, nil
}

func (h *host) UnregisterPlugin(id string, by dbusapi.Caller) error {
	if !h.program.plugins.unregister(id, by) {
		return engine.Fail(engine.NotFound, "unregister the plugin", id, "this program has not registered it")
	}
	return nil
}

func (h *host) ActivatablePlugins(ctx context.Context) ([]string, error) {
	ids, err := onBus(ctx, h.bus, "ListActivatableNames")
	if err != nil {
		return nil, engine.Fail(engine.NotSupported, "list what the bus can start", "", "%w", err)
	}
	return ids, nil
}

// onBus are the ids of plugins among the names of a list that the bus has.
func onBus(ctx context.Context, bus *conn.Conn, list string) (ids []string, err error) {
	var names []string
	r, err := bus.Call(ctx, busService, "/org/freedesktop/DBus", busService+"."+list)
	if err == nil {
		err = r.Store(&names)
	}
	for _, name := range names {
		if id, ok := strings.CutPrefix(name, pluginName+"."); ok && pluginID.MatchString(id) {
			ids = append(ids, id)
		}
	}
	return ids, err
}

// findOnBus adds the plugins that the bus can start, or has.
func (p *plugins) findOnBus(ctx context.Context, bus *conn.Conn) error {
	p.bus = bus
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, list := range []string{"ListActivatableNames", "ListNames"} {
		ids, err := onBus(ctx, bus, list)
		if err != nil {
			return err
		}
		for _, id := range ids {
			_ = p.learn(id, pluginFile{Name: id, Remembered: true, onBus: true}) // fails only once there is a keeper
		}
	}
	return bus.AddMatch(ctx, "type='signal',sender='"+busService+"',member='NameOwnerChanged',arg0namespace='"+pluginName+"'")
}

// watchBus notices plugins that come by themselves.
func (p *plugins) watchBus(work func(func())) (stop func()) {
	return p.bus.Listen(func(s *dbus.Signal) {
		if s.Name != busService+".NameOwnerChanged" || len(s.Body) != 3 {
			return
		}
		name, _ := s.Body[0].(string)
		owner, _ := s.Body[2].(string)
		id, ok := strings.CutPrefix(name, pluginName+".")
		if !ok || owner == "" || !pluginID.MatchString(id) {
			return
		}
		work(func() { // asking the keeper may wait; reading from the bus must not
			if err := p.learn(id, pluginFile{Name: id, Remembered: true, onBus: true}); err == nil && !p.asked(id) {
				p.arrived(id)
			}
		})
	})
}

// asked tells that the plugin comes since we asked for it.
func (p *plugins) asked(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.kept {
		if k.id == id && (k.state == "starting" || k.state == "connected") {
			return true
		}
	}
	return false
}

// askOf asks the bus itself about a name.
func (p *plugins) askOf(ctx context.Context, method, name string, into any) error {
	r, err := p.bus.Call(ctx, busService, "/org/freedesktop/DBus", busService+"."+method, name)
	if err != nil {
		return err
	}
	return r.Store(into)
}

// askBus has the bus start the plugin, and asks it to come to our door.
func (p *plugins) askBus(ctx context.Context, id string, account engine.AccountID) (net.Conn, string, error) {
	ctx, cancel := context.WithTimeout(ctx, activateTime)
	defer cancel()
	name := pluginName + "." + id
	var owner string
	var pid uint32
	_, err := p.bus.Call(ctx, busService, "/org/freedesktop/DBus", busService+".StartServiceByName", name, uint32(0))
	for _, ask := range []struct {
		method string
		into   any
	}{{"GetNameOwner", &owner}, {"GetConnectionUnixProcessID", &pid}} {
		if err == nil {
			err = p.askOf(ctx, ask.method, name, ask.into)
		}
	}
	if err != nil {
		return nil, "", missing(id, "its program is not there, and the bus cannot start it; its accounts are synced when it comes: %w", err)
	}
	if err := p.mayStart(ctx, account); err != nil {
		return nil, owner, err
	}
	cookie, t := p.newTicket(id, "", pid)
	options := map[string]dbus.Variant{"protocol-version": dbus.MakeVariant(uint32(remote.Protocol))}
	path := dbus.ObjectPath("/" + strings.ReplaceAll(pluginName, ".", "/") + "/" + id)
	if _, err := p.bus.Call(ctx, owner, path, pluginName+".Connect", p.door, cookie, options); err != nil {
		return nil, owner, engine.Fail(engine.PluginGone, "ask the plugin to connect", id, "%w", err)
	}
	late := time.NewTimer(cookieTime)
	defer late.Stop()
	select {
	case c := <-t.came:
		return c, owner, nil
	case <-late.C:
		err = errors.New("it said that it would, and did not come")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return nil, owner, engine.Fail(engine.PluginGone, "wait for the plugin", id, "%w", err)
}
