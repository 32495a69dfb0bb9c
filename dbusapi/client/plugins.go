package client

import (
	"context"
	"os"

	"github.com/godbus/dbus/v5"
)

// PluginPath is the object of a plugin.
func PluginPath(id string) dbus.ObjectPath { return Root + "/plugin/" + escape(id) }

// RestartPlugin ends a plugin and starts it again.
func (c *Client) RestartPlugin(ctx context.Context, id string) error {
	return c.Call(ctx, PluginPath(id), Name+".Plugin.Restart", []any{Options(nil).variants()})
}

// ServePlugin offers an account as a plugin, on the socket that it gives.
func (c *Client) ServePlugin(ctx context.Context, account string, o Options) (*os.File, error) {
	var stream dbus.ObjectPath
	if err := c.Call(ctx, AccountPath(account), Name+".Account.ServePlugin", []any{o.variants()}, &stream); err != nil {
		return nil, err
	}
	return c.OpenFd(ctx, stream, nil)
}

// RegisterPlugin announces this program as a plugin, and gives the socket on
// which davbus speaks to it.
func (c *Client) RegisterPlugin(ctx context.Context, id string, o Options) (*os.File, error) {
	var path dbus.ObjectPath
	var fd dbus.UnixFD
	if err := c.Call(ctx, Root, Name+".PluginManager.RegisterFd", []any{id, o.variants()}, &path, &fd); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "plugin"), nil
}
