package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/transports/ssh"
)

// dialRemote has "davbus bridge bus" run on another machine and speaks through it
// to the bus there. The same ssh carries sockets, and runs what needs a
// descriptor. DAVBUS_SSH is another ssh, or one with options.
func (r *runtime) dialRemote(ctx context.Context, host string) (*client.Client, error) {
	dir := ""
	if base := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(base) {
		dir = base
	}
	h, err := ssh.Dial(host, ssh.Options{Program: strings.Fields(os.Getenv("DAVBUS_SSH")), Dir: dir}, "davbus", "bridge", "bus")
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(r.ctx, func() { h.Close() }) // nobody there may ever answer
	bus, err := client.Over(ctx, h)
	if !stop() {
		h.Close()
		return nil, context.Cause(r.ctx)
	}
	if err != nil {
		return nil, h.Why()
	}
	r.remote = h
	return bus, nil
}

// reach gives the address here of a socket of the daemon, which may be on another
// machine: then it is carried as long as this program runs.
func (r *runtime) reach(address string) (string, error) {
	if r.remote == nil {
		return address, nil
	}
	return r.remote.Forward(r.ctx, address)
}

// setSecret stores a secret. It goes to another machine on the standard input of
// a command that passes it on there in a descriptor.
func (r *runtime) setSecret(account, name string, secret []byte, store string) error {
	if r.remote == nil {
		o := client.Options{}
		if store != "" {
			o["store"] = store
		}
		return r.client.SetSecret(r.ctx, account, name, secret, o)
	}
	_, err := r.remote.Run(r.ctx, secret, "davbus", "bridge", "secret", account, name, store)
	return err
}

// A bridgeCmd is what --host runs on the other machine.
type bridgeCmd struct {
	Bus    bridgeBusCmd    `cmd:"" help:"Carry standard input and output to the session bus."`
	Secret bridgeSecretCmd `cmd:"" help:"Store standard input as a secret."`
}

type bridgeBusCmd struct{}

func (*bridgeBusCmd) needsNoDaemon() {}

// Run ends when either side does.
func (c *bridgeBusCmd) Run(r *runtime) error {
	address, err := conn.SessionAddress()
	if err != nil {
		return err
	}
	bus, err := conn.Reach(r.ctx, address)
	if err != nil {
		return err
	}
	defer bus.Close()
	stop := context.AfterFunc(r.ctx, func() { bus.Close() })
	defer stop()
	go func() { // ends with the process, if not before
		io.Copy(bus, os.Stdin)
		bus.Close()
	}()
	if _, err := io.Copy(r.out, bus); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

type bridgeSecretCmd struct {
	Account string `arg:""`
	Name    string `arg:""`
	Store   string `arg:""`
}

func (c *bridgeSecretCmd) Run(r *runtime) error {
	const most = 64 << 10 // as davbusd takes
	secret, err := io.ReadAll(io.LimitReader(os.Stdin, most+1))
	if err != nil {
		return err
	}
	return r.setSecret(c.Account, c.Name, secret, c.Store)
}

type controlCmd struct{}

// Run prints where the control socket is. Of another machine it is carried until
// ^C.
func (c *controlCmd) Run(r *runtime) error {
	var path string
	err := r.client.Get(r.ctx, client.Root, client.Name+".Control", "SocketPath", &path)
	if err == nil && path == "" {
		err = errors.New("this davbusd has no control socket")
	}
	if err == nil {
		path, err = r.reach(path)
	}
	if err != nil {
		return err
	}
	if r.json {
		err = r.document(map[string]any{"address": path})
	} else {
		_, err = fmt.Fprintln(r.out, path)
	}
	if r.remote != nil && err == nil {
		<-r.ctx.Done()
	}
	return err
}
