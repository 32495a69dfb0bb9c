package client

import (
	"context"
	"errors"
	"strings"

	"github.com/godbus/dbus/v5"
)

// A Signal is one signal of davbus, or of the bus about davbus.
type Signal struct {
	Path   dbus.ObjectPath
	Name   string // "org.davbus.Sync1.Manager.JobNew"
	Member string // "JobNew"
	Body   []any
}

// A Follower gets every signal of davbus in the order in which it was sent.
type Follower struct {
	client  *Client
	signals chan *dbus.Signal
	match   []dbus.MatchOption
	owner   []dbus.MatchOption // whether davbus is there
}

// Follow listens to everything below the root from now on. Call it before the
// call whose effects are to be seen.
func (c *Client) Follow(ctx context.Context) (*Follower, error) {
	f := &Follower{client: c, signals: make(chan *dbus.Signal, 256), match: []dbus.MatchOption{
		dbus.WithMatchSender(Name), dbus.WithMatchPathNamespace(Root),
	}, owner: []dbus.MatchOption{
		dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchInterface("org.freedesktop.DBus"),
		dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, Name),
	}}
	c.conn.Signal(f.signals)
	for _, match := range [][]dbus.MatchOption{f.match, f.owner} {
		if err := c.conn.AddMatchSignalContext(ctx, match...); err != nil {
			c.conn.RemoveSignal(f.signals)
			return nil, convert(Root, err)
		}
	}
	return f, nil
}

// Next waits for the next signal.
func (f *Follower) Next(ctx context.Context) (Signal, error) {
	for {
		select {
		case s, ok := <-f.signals:
			if !ok {
				return Signal{}, &Error{"org.freedesktop.DBus.Error.Disconnected", "the session bus is gone"}
			}
			signal := Signal{s.Path, s.Name, s.Name[strings.LastIndexByte(s.Name, '.')+1:], s.Body}
			if strings.HasPrefix(string(s.Path), string(Root)) || signal.Gone() {
				return signal, nil
			}
		case <-ctx.Done():
			return Signal{}, ctx.Err()
		}
	}
}

// Close stops listening.
func (f *Follower) Close() {
	f.client.conn.RemoveMatchSignal(f.match...)
	f.client.conn.RemoveMatchSignal(f.owner...)
	f.client.conn.RemoveSignal(f.signals)
}

// Gone tells that davbus has left the bus: no signal of its jobs will come.
func (s Signal) Gone() bool {
	if s.Name != "org.freedesktop.DBus.NameOwnerChanged" || len(s.Body) < 3 {
		return false
	}
	name, _ := s.Body[0].(string)
	owner, _ := s.Body[2].(string)
	return name == Name && owner == ""
}

// ErrGone is what waiting for davbus ends with when it has left the bus.
var ErrGone = errors.New("davbusd has ended or was killed meanwhile; its next sync finishes what was begun")

// Changed reads a PropertiesChanged signal: the short name of the interface and
// the new values. ok is false for any other signal.
func (s Signal) Changed() (short string, values Props, ok bool) {
	if s.Name != properties+".PropertiesChanged" || len(s.Body) < 2 {
		return "", nil, false
	}
	iface, _ := s.Body[0].(string)
	v, ok := s.Body[1].(map[string]dbus.Variant)
	return strings.TrimPrefix(iface, Name+"."), v, ok
}

// Plain gives the arguments as values that encoding/json writes well.
func (s Signal) Plain() []any {
	out := make([]any, 0, len(s.Body))
	for _, v := range s.Body {
		out = append(out, plain(v))
	}
	return out
}
