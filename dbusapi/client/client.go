// Package client speaks to davbus on the session bus, with Go's types.
//
//	c, err := client.Dial(ctx)
//	defer c.Close()
//	job, err := c.Sync(ctx, "home", client.SyncOptions{})
//	done, err := c.Wait(ctx, job)
//
// It knows nothing of the engine: what it can do, any program on the bus can.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/godbus/dbus/v5"
)

// Where davbus is on the bus.
const (
	Name = "org.davbus.Sync1"
	Root = dbus.ObjectPath("/org/davbus/Sync1")

	properties    = "org.freedesktop.DBus.Properties"
	objectManager = "org.freedesktop.DBus.ObjectManager"
)

// A Client is one connection to the session bus. It may be used by several
// goroutines.
type Client struct{ conn *dbus.Conn }

// An Error is an error reply of the bus or of davbus. Name is one of the names
// in the interface documents; Message makes sense alone.
type Error struct{ Name, Message string }

func (e *Error) Error() string { return e.Message }

// HasName reports whether err is the error of that name; a name without a dot
// is one of org.davbus.Sync1.Error.
func HasName(err error, name string) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Name == name || e.Name == Name+".Error."+name)
}

// Dial connects to the session bus. It never starts a bus of its own.
func Dial(ctx context.Context) (*Client, error) {
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" && os.Getenv("XDG_RUNTIME_DIR") == "" {
		return nil, errors.New("there is no session bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set; try dbus-run-session")
	}
	// Signals in order: the default handler of the library mixes them up.
	conn, err := dbus.SessionBusPrivateNoAutoStartup(dbus.WithContext(ctx), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, fmt.Errorf("cannot find the session bus: %w", err)
	}
	if err := conn.Auth(nil); err != nil {
		conn.Close()
		return nil, fmt.Errorf("cannot log in to the session bus: %w", err)
	}
	if err := conn.Hello(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("cannot join the session bus: %w", err)
	}
	return &Client{conn}, nil
}

// Over speaks to the session bus of another machine through a stream that leads to
// it. Descriptors cannot be passed there.
func Over(ctx context.Context, stream io.ReadWriteCloser) (*Client, error) {
	conn, err := dbus.NewConn(stream, dbus.WithContext(ctx), dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, err
	}
	// Without a number: who we are there is who carries the bytes to the bus.
	if err = conn.Auth([]dbus.Auth{dbus.AuthExternal("")}); err == nil {
		err = conn.Hello()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("cannot join the session bus there: %w", err)
	}
	return &Client{conn}, nil
}

// Close leaves the bus.
func (c *Client) Close() error { return c.conn.Close() }

// Conn is the connection below, for what this package does not do.
func (c *Client) Conn() *dbus.Conn { return c.conn }

// Call calls any method of davbus and stores its results.
func (c *Client) Call(ctx context.Context, path dbus.ObjectPath, method string, args []any, results ...any) error {
	if !path.IsValid() {
		return &Error{"org.freedesktop.DBus.Error.InvalidArgs", fmt.Sprintf("%q is not whole; a collection is ACCOUNT/COLLECTION", strings.Trim(IDOf(path), "/"))}
	}
	call := c.conn.Object(Name, path).CallWithContext(ctx, method, 0, args...)
	if call.Err != nil {
		return convert(path, call.Err)
	}
	if err := call.Store(results...); err != nil {
		return fmt.Errorf("davbus answered %s in a way that this program does not understand: %w", method, err)
	}
	return nil
}

// Get reads one property.
func (c *Client) Get(ctx context.Context, path dbus.ObjectPath, iface, property string, into any) error {
	var v dbus.Variant
	if err := c.Call(ctx, path, properties+".Get", []any{iface, property}, &v); err != nil {
		return err
	}
	return v.Store(into)
}

// Set writes one property.
func (c *Client) Set(ctx context.Context, path dbus.ObjectPath, iface, property string, value any) error {
	return c.Call(ctx, path, properties+".Set", []any{iface, property, dbus.MakeVariant(value)})
}

func convert(path dbus.ObjectPath, err error) error {
	e, ok := errors.AsType[dbus.Error](err)
	if !ok {
		return err
	}
	out := &Error{Name: e.Name, Message: e.Name}
	if len(e.Body) > 0 {
		if s, ok := e.Body[0].(string); ok && s != "" {
			out.Message = s
		}
	}
	switch e.Name {
	case "org.freedesktop.DBus.Error.UnknownObject":
		if path != Root {
			out.Message = "there is no " + called(path)
		}
	case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner":
		out.Message = "davbus is not running and the bus does not know how to start it; start davbusd, or install its activation file (make install)"
	}
	return out
}
