// Command gen writes davbus-dbus(5) from the interface documents, which are the
// contract: what the page says of a method is what stands in the XML.
//
//	go run ./data/gen        (make man)
package main

import (
	"fmt"
	"io/fs"
	"os"

	"davbus.org/davbus/data"
)

// page is what it writes, from the top of the tree.
const page = "data/man/davbus-dbus.5.scd"

// order is that of the page: the root first, then what lies below it, and what
// clients and plugins implement themselves.
var order = []string{
	"Sync1.Manager", "Sync1.Shell", "Sync1.Control", "Sync1.PluginManager", "Sync1.Introducer",
	"Sync1.Account", "Sync1.Collection", "Sync1.Group", "Sync1.Job", "Sync1.Conflict", "Sync1.Plugin", "Sync1.Stream",
	"Sync1.Agent", "Sync1.IntroducerPeer", "Plugin1",
}

func main() {
	text, err := generate(data.Interfaces)
	if err == nil {
		err = os.WriteFile(page, text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// generate makes the page of the documents in the folder dbus-1/interfaces.
func generate(files fs.FS) ([]byte, error) {
	names, err := fs.Glob(files, "dbus-1/interfaces/*.xml")
	if err != nil {
		return nil, err
	}
	if len(names) != len(order) {
		return nil, fmt.Errorf("there are %d documents, and the page orders %d: complete the list in data/gen", len(names), len(order))
	}
	var all []document
	for _, short := range order {
		raw, err := fs.ReadFile(files, "dbus-1/interfaces/org.davbus."+short+".xml")
		if err != nil {
			return nil, err
		}
		d, err := read(raw)
		if err != nil {
			return nil, fmt.Errorf("org.davbus.%s.xml: %w", short, err)
		}
		all = append(all, d)
	}
	return write(all), nil
}
