package dbusapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

// An Introducer is a Host that brings programs together.
type Introducer interface {
	// NamesChanged says who is to be called after the public names have changed.
	NamesChanged(tell func())
	PublicNames() []string

	Register(RegisterRequest) (designator string, err error)
	Unregister(caller, name string) error
	// LeaveNames ends all that a caller registered and offers.
	LeaveNames(caller string)
	// Introduce hands a socket over and closes it, whatever comes of it. It waits.
	Introduce(context.Context, Introduction) error

	Offer(caller string, o Offer) error
	Withdraw(caller, name, service string) error
	Offers(caller string) []Offer
}

// A RegisterRequest is a name that a caller registers.
type RegisterRequest struct {
	Caller     string
	Name       string
	Public     bool
	AcceptFrom []string
	Deliver    func(context.Context, Introduction) error // closes the socket
	Tunnel     func(TunnelEvent)                         // it does not wait
}

// An Introduction is a socket on its way. Its metadata are something that
// json.Marshal takes; those of a caller on the bus are a Metadata.
type Introduction struct {
	Name     string
	From     Caller
	Metadata any
	Socket   *os.File
}

// An Offer is a service of a caller that others may reach.
type Offer struct {
	Name, Service, Target string
	Parameters            any
	Own                   bool // in a list
}

// A TunnelEvent is a connection to an offered service that began or ended.
type TunnelEvent struct {
	Name, Service           string
	Connected, Disconnected uint32
	Taker                   Caller
	Err                     error
}

// Metadata are what callers tell each other. On the bus they are passed on as
// they came.
type Metadata map[string]dbus.Variant

// MarshalJSON writes them for those who are not on the bus.
func (m Metadata) MarshalJSON() ([]byte, error) {
	return json.Marshal(toJSON(map[string]dbus.Variant(m)))
}

// metadataOf gives metadata of whatever door the form that the bus has.
func metadataOf(v any) (dict, error) {
	if m, ok := v.(Metadata); ok {
		return dict(m), nil
	}
	raw, err := json.Marshal(v)
	if err != nil || string(raw) == "null" {
		return dict{}, err
	}
	out, err := dictFrom(raw, nil)
	if err != nil {
		return nil, fmt.Errorf("its metadata cannot be put on the bus: %w", err)
	}
	return out.(map[string]dbus.Variant), nil
}

func (f *Face) introducer() tree.Interface {
	return tree.Interface{Name: ifIntroducer, Methods: map[string]any{
		"Register":   f.register,
		"Unregister": func(c tree.Call, n string) error { return f.unregister(c, n) },
		"Introduce":  f.introduce,
		"Offer":      f.offer,
		"Withdraw":   f.withdraw,
		"ListOffers": f.listOffers,
		"Take":       f.take,
	}, Properties: map[string]tree.Property{
		"SocketPath": {Get: func() any { return name(f.facts.IntroducerPath) }},
		"Names":      {Get: func() any { return f.publicNames() }},
	}}
}

func (f *Face) introductions() (Introducer, error) {
	if i, ok := f.host.(Introducer); ok {
		return i, nil
	}
	return nil, notInThisBuild("introducer")
}

func (f *Face) publicNames() []string {
	if i, err := f.introductions(); err == nil {
		return texts(i.PublicNames())
	}
	return []string{}
}

func (f *Face) namesChanged() {
	_ = f.tree.Changed(Root, ifIntroducer, "Names") // the bus is gone
}

// register takes introductions for a caller until it leaves the bus.
func (f *Face) register(c tree.Call, label string, path dbus.ObjectPath, in dict) (string, error) {
	const op = "register"
	o := readOptions(op, in)
	r := RegisterRequest{Name: label, Public: o.bool("public", false), AcceptFrom: o.strings("accept-from")}
	if err := o.end(); err != nil {
		return "", err
	}
	host, err := f.introductions()
	if err != nil {
		return "", err
	}
	who := f.caller(c)
	if strings.HasPrefix(who.Name, localPrefix) {
		return "", engine.Fail(engine.NotSupported, op, label, "who is not on the bus registers at the introduction socket: see SocketPath")
	}
	r.Caller = who.Name
	r.Deliver = func(ctx context.Context, i Introduction) error { return f.deliver(ctx, who.Name, path, i) }
	r.Tunnel = func(e TunnelEvent) { f.tellTunnel(who.Name, e) }
	designator, err := host.Register(r)
	if err != nil {
		return "", err
	}
	if err := f.followName(who.Name, label, host); err != nil {
		host.Unregister(who.Name, label)
		return "", err
	}
	return designator, nil
}

// followName ends what a caller registered when it leaves the bus.
func (f *Face) followName(caller, label string, host Introducer) error {
	key, left := caller+" "+label, false
	stop, err := f.follow(caller, func() {
		host.LeaveNames(caller)
		f.names.Lock()
		defer f.names.Unlock()
		left = true
		delete(f.followed, key)
	})
	if err != nil {
		return err
	}
	f.names.Lock()
	defer f.names.Unlock()
	if !left {
		f.followed[key] = stop
	}
	return nil
}

func (f *Face) unregister(c tree.Call, label string) error {
	host, err := f.introductions()
	if err != nil {
		return err
	}
	caller := f.caller(c).Name
	if err := host.Unregister(caller, label); err != nil {
		return err
	}
	f.names.Lock()
	defer f.names.Unlock()
	if stop := f.followed[caller+" "+label]; stop != nil {
		stop()
		delete(f.followed, caller+" "+label)
	}
	return nil
}

// deliver calls Incoming of the owner of a name. What it answers with an error
// it has refused.
func (f *Face) deliver(ctx context.Context, owner string, path dbus.ObjectPath, i Introduction) error {
	metadata, err := metadataOf(i.Metadata)
	if err != nil {
		i.Socket.Close()
		return err
	}
	bus := f.tree.Conn()
	_, err = bus.Call(ctx, owner, path, ifIntroducerPeer+".Incoming", name(i.Name), i.Socket, tree.Clean(map[string]dbus.Variant(metadata)), senderOf(i.From))
	if e, ok := errors.AsType[dbus.Error](err); ok {
		return fmt.Errorf("%s: %w", e.Name, err)
	}
	return err
}

func senderOf(c Caller) dict {
	return dict{"pid": dbus.MakeVariant(c.PID), "uid": dbus.MakeVariant(c.UID), "app-id": dbus.MakeVariant(text(c.App))}
}

func (f *Face) introduce(c tree.Call, to string, socket *os.File, in dict) error {
	host, err := f.introductions()
	if err == nil && holdsFile(reflect.ValueOf(in)) {
		err = invalid("introduce", "its metadata must hold no descriptor")
	}
	if err == nil {
		err = c.Detach()
	}
	if err != nil {
		socket.Close()
		return err
	}
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	stop := context.AfterFunc(f.closing, cancel)
	defer stop()
	return host.Introduce(ctx, Introduction{Name: unname(to), From: f.caller(c), Metadata: Metadata(in), Socket: socket})
}

// holdsFile tells whether a value holds a descriptor: the one that was passed
// is the socket's.
func holdsFile(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Uint32:
		return v.Type() == reflect.TypeFor[dbus.UnixFDIndex]()
	case reflect.Interface:
		return holdsFile(v.Elem())
	case reflect.Struct:
		if x, ok := v.Interface().(dbus.Variant); ok {
			return holdsFile(reflect.ValueOf(x.Value()))
		}
	case reflect.Slice:
		for i := range v.Len() {
			if holdsFile(v.Index(i)) {
				return true
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if holdsFile(it.Value()) {
				return true
			}
		}
	}
	return false
}
