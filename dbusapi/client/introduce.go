package client

import (
	"context"

	"github.com/godbus/dbus/v5"
)

// peerPath is the object that introductions would come to. Nothing is there:
// they are refused. A program that wants to be introduced calls Register of the
// interface Introducer with an object of its own.
const peerPath = dbus.ObjectPath("/org/davbus/Sync1/peer")

// Register takes a name to offer services under, as long as this client is on
// the bus.
func (c *Client) Register(ctx context.Context, name string, o Options) (designator string, err error) {
	err = c.Call(ctx, Root, Name+".Introducer.Register", []any{name, peerPath, o.variants()}, &designator)
	return designator, err
}

// Offer lets others reach a service: "unix:PATH" or "tcp:127.0.0.1:PORT".
func (c *Client) Offer(ctx context.Context, name, service, target string, parameters Options) error {
	return c.Call(ctx, Root, Name+".Introducer.Offer", []any{name, service, target, parameters.variants()})
}

// Take gives a stream that leads to an offered service.
func (c *Client) Take(ctx context.Context, name, service string, o Options) (stream dbus.ObjectPath, parameters Props, err error) {
	err = c.Call(ctx, Root, Name+".Introducer.Take", []any{name, service, o.variants()}, &stream, &parameters)
	return stream, parameters, err
}

// Offers lists what is offered under public names.
func (c *Client) Offers(ctx context.Context) ([]Props, error) {
	var out []Props
	err := c.Call(ctx, Root, Name+".Introducer.ListOffers", []any{Options{}.variants()}, &out)
	return out, err
}
