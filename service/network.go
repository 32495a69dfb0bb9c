package service

import (
	"cmp"
	"context"
	"os"

	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/dbusapi/desktop/network"
)

// systemBus is where the system's bus is unless the environment says otherwise.
const systemBus = "unix:path=/run/dbus/system_bus_socket"

// watchNetwork tells the keeper whether there is a network.
func (p *program) watchNetwork(ctx context.Context, session string, watch func(context.Context, func(bool))) {
	if watch != nil {
		watch(ctx, p.keeper.SetOnline)
		return
	}
	dial := func(address string) func(context.Context) (*conn.Conn, error) {
		return func(ctx context.Context) (*conn.Conn, error) { return conn.Dial(ctx, address, conn.Options{}) }
	}
	network.Run(ctx, network.Options{
		System: dial(cmp.Or(os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"), systemBus)), Session: dial(session),
	}, p.keeper.SetOnline)
}
