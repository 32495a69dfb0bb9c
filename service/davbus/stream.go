package main

import (
	"context"
	"io"
	"net"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
)

type exportCmd struct {
	Collection string  `arg:"" help:"ACCOUNT/COLLECTION."`
	JSON       bool    `name:"json-lines" help:"One line of JSON for each item."`
	Since      *string `help:"What changed since this revision, as lines of JSON, and the new revision; with \"\", everything and the revision." placeholder:"REVISION"`
	Offset     uint64  `help:"Leave out so many bytes: go on with an export that was broken off." placeholder:"BYTES"`
}

func (c *exportCmd) Run(r *runtime) error {
	o := client.Options{}
	if c.JSON || c.Since != nil {
		o["format"] = "json-lines"
	}
	if c.Since != nil {
		o["since-revision"] = *c.Since
	}
	path, err := r.client.Open(r.ctx, c.Collection, "Collection.Export", o)
	if err != nil {
		return err
	}
	socket, err := r.connect(path, client.Options{"offset": c.Offset})
	if err != nil {
		return err
	}
	defer socket.Close()
	_, err = io.Copy(r.out, socket)
	return err
}

// connect opens a stream by a descriptor, or on another machine by a socket that
// is carried here. ^C breaks it off.
func (r *runtime) connect(path dbus.ObjectPath, o client.Options) (*net.UnixConn, error) {
	c, err := r.open(path, o)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(r.ctx, func() { c.Close() })
	return c.(*net.UnixConn), nil // of AF_UNIX
}

func (r *runtime) open(path dbus.ObjectPath, o client.Options) (net.Conn, error) {
	if r.remote != nil {
		address, _, err := r.client.Listen(r.ctx, path, "unix", "peer", o)
		if err == nil {
			address, err = r.reach(address)
		}
		if err != nil {
			return nil, err
		}
		return net.Dial("unix", address)
	}
	file, err := r.client.OpenFd(r.ctx, path, o)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return net.FileConn(file)
}

// An offerFlags is how a socket for others is made.
type offerFlags struct {
	TCP      bool `name:"tcp" help:"Listen at a port of 127.0.0.1, with a password that is printed, instead of on a private socket."`
	ReadOnly bool `help:"Let nothing be changed."`
	Wait     bool `help:"Stay until ^C, and close the socket then. Otherwise it stays until davbusd ends."`
}

// keep tells whether the stream is to stay when this program has ended: not that
// of another machine, to which this program leads.
func (f *offerFlags) keep(r *runtime) bool {
	f.Wait = f.Wait || r.remote != nil
	return !f.Wait
}

// offer makes a stream that others connect to, and prints where.
func (r *runtime) offer(what, method string, f offerFlags, o client.Options) error {
	o["keep"] = f.keep(r)
	path, err := r.client.Open(r.ctx, what, method, o)
	if err != nil {
		return err
	}
	return r.listen(path, f, map[string]any{})
}

// listen opens a stream to others and prints where.
func (r *runtime) listen(path dbus.ObjectPath, f offerFlags, more map[string]any) error {
	kind := "unix"
	if f.TCP {
		kind = "tcp"
	}
	address, cookie, err := r.client.Listen(r.ctx, path, kind, "", nil)
	if err == nil {
		address, err = r.reach(address)
	}
	if err != nil {
		return err
	}
	if f.TCP {
		address = "http://" + address + "/"
	}
	switch {
	case r.json:
		more["address"], more["password"], more["stream"] = address, cookie, path
		err = r.document(more)
	case cookie != "":
		say(r.out, "%s password %s", address, cookie)
	default:
		say(r.out, "%s", address)
	}
	if err == nil && f.Wait {
		<-r.ctx.Done()
	}
	return err
}

type serveCmd struct {
	Collection string `arg:"" help:"ACCOUNT/COLLECTION."`
	offerFlags
}

func (c *serveCmd) Run(r *runtime) error {
	return r.offer(c.Collection, "Collection.Serve", c.offerFlags, client.Options{"read-only": c.ReadOnly})
}

type proxyCmd struct {
	Account string `arg:"" help:"An account with a server."`
	offerFlags
	Write  bool   `help:"Let changes through; otherwise it is for reading alone."`
	Prefix string `help:"Let through only what lies below this path on the server." placeholder:"PATH"`
}

func (c *proxyCmd) Run(r *runtime) error {
	if c.Write && c.ReadOnly {
		return usageError("--write and --read-only exclude each other")
	}
	o := client.Options{"read-only": !c.Write}
	if c.Prefix != "" {
		o["path-prefix"] = c.Prefix
	}
	return r.offer(c.Account, "Account.OpenProxy", c.offerFlags, o)
}
