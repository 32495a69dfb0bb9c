package main

import (
	"io"

	"davbus.org/davbus/transports/private"
)

type exportCmd struct {
	Collection string `arg:"" help:"ACCOUNT/COLLECTION."`
}

func (c *exportCmd) Run(r *runtime) error {
	address, err := r.client.Export(r.ctx, c.Collection)
	if err != nil {
		return err
	}
	socket, err := private.Dial(address)
	if err != nil {
		return err
	}
	defer socket.Close()
	_, err = io.Copy(r.out, socket)
	return err
}

type serveCmd struct {
	Collection string `arg:"" help:"ACCOUNT/COLLECTION."`
}

func (c *serveCmd) Run(r *runtime) error {
	address, err := r.client.Serve(r.ctx, c.Collection)
	if err != nil {
		return err
	}
	if r.json {
		return r.document(map[string]any{"address": address})
	}
	say(r.out, "%s", address)
	return nil
}
