package main

import (
	"errors"
	"io"
	"net"
	"os"

	"davbus.org/davbus/dbusapi/client"
)

type pluginServeCmd struct {
	Account  string `arg:"" help:"The account to offer."`
	ReadOnly bool   `help:"Take no writes."`
}

// Run carries bytes between the daemon and whoever started this program.
func (c *pluginServeCmd) Run(r *runtime) error {
	socket, err := r.client.ServePlugin(r.ctx, c.Account, client.Options{"read-only": c.ReadOnly})
	if err != nil {
		return err
	}
	stream, err := net.FileConn(socket)
	socket.Close()
	if err != nil {
		return err
	}
	defer stream.Close()
	go func() { // ends with the program, or ends it
		_, _ = io.Copy(stream, os.Stdin)
		stream.Close()
	}()
	_, err = io.Copy(r.out, stream)
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}
