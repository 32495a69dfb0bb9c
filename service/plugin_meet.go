package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/engine"
)

// meetTime is how long a plugin that the bus starts may take to say what
// parameters its accounts have.
const meetTime = 10 * time.Second

// maxPluginParams is how many parameters a plugin may have.
const maxPluginParams = 64

// Parameters describes a kind. A plugin that only the bus knows is asked.
func (h *host) Parameters(kind string) ([]engine.ParamSpec, error) {
	h.program.plugins.meet(kind)
	return h.Keeper.Parameters(kind)
}

// AddAccount takes in an account. Its parameters may be those of a plugin that
// only the bus knows.
func (h *host) AddAccount(cfg engine.AccountConfig, ensure bool) (engine.AccountID, error) {
	h.program.plugins.meet(cfg.Kind)
	return h.Keeper.AddAccount(cfg, ensure)
}

// meet asks a plugin that has no description but on the bus what its accounts are
// like, once, and remembers it, so that they are valid while it is not there.
func (p *plugins) meet(kind string) {
	id, ok := strings.CutPrefix(kind, "plugin:")
	p.mu.Lock()
	f := p.files[id]
	p.mu.Unlock()
	if !ok || !f.onBus || f.met || !f.Remembered {
		return
	}
	told, err := p.ask(id)
	if err == nil {
		told.Name, told.Remembered, told.onBus, told.met = f.Name, true, true, true
		err = told.remember(p.dirs, id)
	}
	if err == nil {
		p.mu.Lock()
		p.files[id] = told
		p.mu.Unlock()
		err = p.keeper.SetKind(kind, p.kind(id, told))
	}
	if err != nil {
		p.log.fault("the plugin "+id+" does not say what its accounts are like", err)
	}
	p.touch()
}

// ask reads what a plugin says of itself on the bus, which starts it if need be.
func (p *plugins) ask(id string) (f pluginFile, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), meetTime)
	defer cancel()
	path := dbus.ObjectPath("/" + strings.ReplaceAll(pluginName, ".", "/") + "/" + id)
	r, err := p.bus.Call(ctx, pluginName+"."+id, path, "org.freedesktop.DBus.Properties.GetAll", pluginName)
	if err != nil {
		return f, err
	}
	var said map[string]dbus.Variant
	if err := r.Store(&said); err != nil {
		return f, err
	}
	f.Kinds, _ = said["Kinds"].Value().([]string)
	list, ok := said["Parameters"].Value().([]map[string]dbus.Variant)
	if !ok || len(list) > maxPluginParams {
		return f, fmt.Errorf("its property Parameters must be of type aa{sv}, with at most %d entries", maxPluginParams)
	}
	for _, d := range list {
		q := pluginParam{}
		q.Name, _ = d["name"].Value().(string)
		q.Signature, _ = d["signature"].Value().(string)
		q.Required, _ = d["required"].Value().(bool)
		q.Secret, _ = d["secret"].Value().(bool)
		q.Choices, _ = d["choices"].Value().([]string)
		q.Summary, _ = d["summary"].Value().(string)
		if v, ok := d["default"]; ok {
			q.Default = v.Value()
		}
		f.Parameters = append(f.Parameters, q)
	}
	return f, f.sound()
}

// sound tells what is wrong with the parameters of a plugin.
func (f *pluginFile) sound() error {
	seen := map[string]bool{"": true, "command": true, "via": true, "timeouts": true, "read-only": true}
	for i, q := range f.Parameters {
		if seen[q.Name] {
			return fmt.Errorf("the parameter %q has no name, or one that another has", q.Name)
		}
		seen[q.Name] = true
		switch q.Signature {
		case "s", "b", "u", "as":
		default:
			return fmt.Errorf("the parameter %q has the signature %q; it must be s, b, u or as", q.Name, q.Signature)
		}
		if q.Default == nil {
			continue
		}
		value, err := q.value(q.Default)
		if err != nil {
			return err
		}
		f.Parameters[i].Default = value
	}
	return nil
}

// value gives a default the type that its parameter has.
func (q pluginParam) value(v any) (any, error) {
	switch n := v.(type) {
	case uint64: // as YAML reads numbers
		if n < 1<<32 {
			v = uint32(n)
		}
	case []any:
		list := []string{}
		for _, word := range n {
			list = append(list, fmt.Sprint(word))
		}
		v = list
	}
	if q.Secret || engine.Signature(v) != q.Signature {
		return nil, errors.New("the default of the parameter \"" + q.Name + "\" is not of its signature, or it is secret and has none")
	}
	return v, nil
}
