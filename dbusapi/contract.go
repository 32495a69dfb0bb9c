package dbusapi

import (
	"encoding/xml"
	"fmt"
	"io/fs"
	"path"

	"github.com/godbus/dbus/v5/introspect"
)

// constants finds, for each interface, the properties that last as long as
// their object.
func constants(files fs.FS) (map[string]map[string]bool, error) {
	out := map[string]map[string]bool{}
	err := fs.WalkDir(files, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".xml" {
			return err
		}
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		var node introspect.Node
		if err := xml.Unmarshal(raw, &node); err != nil {
			return fmt.Errorf("cannot read %s: %w", name, err)
		}
		for _, i := range node.Interfaces {
			out[i.Name] = map[string]bool{}
			for _, p := range i.Properties {
				for _, a := range p.Annotations {
					if a.Name == "org.freedesktop.DBus.Property.EmitsChangedSignal" && a.Value == "const" {
						out[i.Name][p.Name] = true
					}
				}
			}
		}
		return nil
	})
	return out, err
}
