package dbusapi

import (
	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
)

// Plugins are not part of this build: Capabilities lacks "plugins".
func (f *Face) pluginManager() tree.Interface {
	return tree.Interface{Name: ifPluginManager, Methods: map[string]any{
		"Register": func(string, dict) (dbus.ObjectPath, string, string, error) {
			return "/", "", "", notInThisBuild("plugins")
		},
		"Unregister":      func(string) error { return notInThisBuild("plugins") },
		"ListActivatable": func() ([]string, error) { return nil, notInThisBuild("plugins") },
	}}
}
