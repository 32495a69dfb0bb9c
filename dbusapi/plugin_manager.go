package dbusapi

import (
	"os"
	"slices"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

func (f *Face) pluginManager() tree.Interface {
	return tree.Interface{Name: ifPluginManager, Methods: map[string]any{
		"Register": func(c tree.Call, id string, info dict) (path dbus.ObjectPath, address, cookie string, err error) {
			err = f.registerPlugin(c, id, info, func(h Plugger, r PluginRegistration) error {
				address, cookie, err = h.RegisterPlugin(r)
				return err
			})
			return pluginPath(id), name(address), cookie, err
		},
		"RegisterFd": func(c tree.Call, id string, info dict) (path dbus.ObjectPath, socket *os.File, err error) {
			err = f.registerPlugin(c, id, info, func(h Plugger, r PluginRegistration) error {
				socket, err = h.RegisterPluginFD(r)
				return err
			})
			return pluginPath(id), socket, err
		},
		"Unregister": func(c tree.Call, id string) error {
			h, err := f.plugins.need()
			if err != nil {
				return err
			}
			defer f.plugins.refresh()
			who := f.caller(c)
			if err := h.UnregisterPlugin(id, who); err != nil {
				return err
			}
			f.plugins.letGo(id, who.Name)
			return nil
		},
		"ListActivatable": func(c tree.Call) ([]string, error) {
			h, err := f.plugins.need()
			if err != nil {
				return nil, err
			}
			ids, err := h.ActivatablePlugins(c.Context())
			slices.Sort(ids)
			return texts(ids), err
		},
	}}
}

// maxPlugins is how many connections one caller may register.
const maxPlugins = 16

// registerPlugin registers the caller until it leaves the bus. Its object is
// there before the reply.
func (f *Face) registerPlugin(c tree.Call, id string, info dict, do func(Plugger, PluginRegistration) error) error {
	h, err := f.plugins.need()
	if err != nil {
		return err
	}
	op := "register the plugin " + name(id)
	o := readOptions(op, info)
	r := PluginRegistration{ID: id, Kinds: o.strings("kinds"), Name: o.line("display-name", id), Caller: f.caller(c)}
	version := o.uint("protocol-version", 1)
	if err := o.end(); err != nil {
		return err
	}
	for _, kind := range r.Kinds {
		if kind != engine.Calendar && kind != engine.AddressBook {
			return invalid(op, "%q is no kind of collection; there are %q and %q", kind, engine.Calendar, engine.AddressBook)
		}
	}
	if version != 1 {
		return invalid(op, "it speaks version %d of the protocol, and this davbus speaks 1", version)
	}
	give, err := f.quota.take(r.Caller.Name, "registered plugin", maxPlugins)
	if err != nil {
		return err
	}
	if err := do(h, r); err != nil {
		give()
		return err
	}
	// One that has left already is unregistered at once.
	stop, err := f.follow(r.Caller.Name, func() {
		f.plugins.letGo(id, r.Caller.Name)
		_ = h.UnregisterPlugin(id, r.Caller) // it may have done so itself
		f.plugins.refresh()
	})
	if err != nil {
		give()
		_ = h.UnregisterPlugin(id, r.Caller)
	} else {
		f.plugins.hold(id, r.Caller.Name, func() { stop(); give() })
	}
	f.plugins.refresh()
	return err
}
