package client

import (
	"context"
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
}

// Follow listens to everything below the root from now on. Call it before the
// call whose effects are to be seen.
func (c *Client) Follow(ctx context.Context) (*Follower, error) {
	f := &Follower{client: c, signals: make(chan *dbus.Signal, 256), match: []dbus.MatchOption{
		dbus.WithMatchSender(Name), dbus.WithMatchPathNamespace(Root),
	}}
	c.conn.Signal(f.signals)
	if err := c.conn.AddMatchSignalContext(ctx, f.match...); err != nil {
		c.conn.RemoveSignal(f.signals)
		return nil, convert(err)
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
			if !strings.HasPrefix(string(s.Path), string(Root)) {
				continue
			}
			return Signal{s.Path, s.Name, s.Name[strings.LastIndexByte(s.Name, '.')+1:], s.Body}, nil
		case <-ctx.Done():
			return Signal{}, ctx.Err()
		}
	}
}

// Close stops listening.
func (f *Follower) Close() {
	f.client.conn.RemoveMatchSignal(f.match...)
	f.client.conn.RemoveSignal(f.signals)
}

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
