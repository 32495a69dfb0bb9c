package dbusapi

import (
	"os"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
)

// Introductions are not part of this build: Capabilities lacks "introducer".
func (f *Face) introducer() tree.Interface {
	none := func() error { return notInThisBuild("introducer") }
	return tree.Interface{Name: ifIntroducer, Methods: map[string]any{
		"Register":   func(string, dbus.ObjectPath, dict) (string, error) { return "", none() },
		"Unregister": func(string) error { return none() },
		"Introduce": func(_ string, socket *os.File, _ dict) error {
			socket.Close()
			return none()
		},
		"Offer": func(string, string, string, dict) error { return none() },
		"Take":  func(string, string, dict) (dbus.ObjectPath, dict, error) { return "/", nil, none() },
	}, Properties: map[string]tree.Property{
		"SocketPath": {Get: func() any { return name(f.facts.IntroducerPath) }},
		"Names":      {Get: func() any { return []string{} }},
	}}
}
