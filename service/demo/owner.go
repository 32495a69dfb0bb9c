package main

import (
	"context"
	"time"

	"github.com/godbus/dbus/v5"
)

// nameHasOwner asks the bus at an address, without starting anything on it.
func nameHasOwner(ctx context.Context, address, name string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := dbus.Connect(address, dbus.WithContext(ctx))
	if err != nil {
		return false, err
	}
	defer c.Close()
	var owned bool
	err = c.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, name).Store(&owned)
	return owned, err
}
