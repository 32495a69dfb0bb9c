package dbusapi

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"davbus.org/davbus/data"
)

// A Command is one method of the bus as programs without a bus call it: by name,
// with its arguments by name. The interface files are the one list of them.
type Command struct {
	Name   string     `json:"name"` // "Manager.Sync"
	Object bool       `json:"object"`
	In     []Argument `json:"in"`
	Out    []Argument `json:"out"`
	Doc    string     `json:"doc"`

	iface, member string
	options       map[string]string // types of the keys that the text names
}

// An Argument is one argument of a command. Type is a signature of D-Bus.
type Argument struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Doc  string `json:"doc,omitempty"`
}

// commandInterfaces are those whose methods are commands, by their short names.
var commandInterfaces = []string{"Manager", "Shell", "Control", "PluginManager", "Introducer", "Account", "Collection", "Group", "Job", "Conflict", "Stream"}

// rootInterfaces are those of the one root object: their commands name no object.
var rootInterfaces = commandInterfaces[:5]

// commands reads all of them from the interface files.
func readCommands() (map[string]*Command, error) {
	all := standardCommands()
	err := fs.WalkDir(data.Interfaces, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".xml" {
			return err
		}
		short, ours := strings.CutPrefix(strings.TrimSuffix(path.Base(name), ".xml"), BusName+".")
		if !ours || !slices.Contains(commandInterfaces, short) {
			return nil
		}
		raw, err := fs.ReadFile(data.Interfaces, name)
		if err != nil {
			return err
		}
		if err := addCommands(all, short, string(raw)); err != nil {
			return fmt.Errorf("cannot read %s: %w", name, err)
		}
		return nil
	})
	return all, err
}

// standardCommands are those of D-Bus itself, and one that LogControl1 has as a
// property.
func standardCommands() map[string]*Command {
	const properties = "org.freedesktop.DBus.Properties"
	in := func(names ...string) (out []Argument) {
		for _, n := range names {
			name, typ, _ := strings.Cut(n, " ")
			out = append(out, Argument{Name: name, Type: typ})
		}
		return out
	}
	all := map[string]*Command{}
	for _, c := range []*Command{
		{Name: "Properties.Get", Object: true, In: in("interface s", "property s"), Out: in("value v"), Doc: "One property of an object. The interface is given by its short name, as Account.", iface: properties, member: "Get"},
		{Name: "Properties.GetAll", Object: true, In: in("interface s"), Out: in("properties a{sv}"), Doc: "All properties that an object has on an interface.", iface: properties, member: "GetAll"},
		{Name: "Properties.Set", Object: true, In: in("interface s", "property s", "value v"), Doc: "Change a property that may be written.", iface: properties, member: "Set"},
		{Name: "ObjectManager.GetManagedObjects", Out: in("objects a{oa{sa{sv}}}"), Doc: "All objects with all their properties. Where there are many, subscribe gives them in several lines.", iface: "org.freedesktop.DBus.ObjectManager", member: "GetManagedObjects"},
		{Name: "Log.SetLevel", In: in("level s"), Doc: "How much the daemon logs, from now on: emerg, alert, crit, err, warning, notice, info or debug.", iface: properties, member: "Set"},
	} {
		all[c.Name] = c
	}
	return all
}

// addCommands finds the methods of one interface, each with the comment before
// it.
func addCommands(all map[string]*Command, short, text string) error {
	dec := xml.NewDecoder(strings.NewReader(text))
	comment := ""
	var c *Command
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.Comment:
			comment = string(t)
		case xml.StartElement:
			switch t.Name.Local {
			case "method":
				c = &Command{
					Name: short + "." + attr(t, "name"), Object: !slices.Contains(rootInterfaces, short), In: []Argument{}, Out: []Argument{},
					iface: BusName + "." + short, member: attr(t, "name"),
				}
				c.Doc, c.options = plainDoc(comment), optionTypes(comment)
				all[c.Name] = c
			case "signal", "property":
				c = nil
			case "arg":
				if c != nil {
					c.addArg(t, comment)
				}
			}
		}
	}
}

func (c *Command) addArg(t xml.StartElement, comment string) {
	a := Argument{Name: attr(t, "name"), Type: attr(t, "type"), Doc: argDoc(comment, attr(t, "name"))}
	if attr(t, "direction") == "out" {
		c.Out = append(c.Out, a)
	} else {
		c.In = append(c.In, a)
	}
}

func attr(t xml.StartElement, name string) string {
	for _, a := range t.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// paragraphs of a comment: its title, then "@name: text", then the text.
func paragraphs(comment string) (args map[string]string, text string) {
	args = map[string]string{}
	var body []string
	last := ""
	for i, line := range strings.Split(strings.TrimSpace(comment), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case i == 0:
		case strings.HasPrefix(line, "@"):
			name, rest, _ := strings.Cut(line[1:], ":")
			last, args[name] = name, strings.TrimSpace(rest)
		case line == "":
			last = ""
			body = append(body, "")
		case last != "":
			args[last] += " " + line
		default:
			body = append(body, line)
		}
	}
	return args, strings.TrimSpace(strings.Join(body, "\n"))
}

func plainDoc(comment string) string {
	_, text := paragraphs(comment)
	return text
}

func argDoc(comment, name string) string {
	args, _ := paragraphs(comment)
	return args[name]
}

var optionWord = regexp.MustCompile(`"([a-z][a-z0-9-]*)" (aa\{sv\}|a\{sv\}|as|ao|ay|[bynqiuxtdsovh])(?:[^A-Za-z0-9]|$)`)

// optionTypes are the keys of dictionaries that the text gives a type, as in
// "dry-run" b.
func optionTypes(comment string) map[string]string {
	out := map[string]string{}
	for _, m := range optionWord.FindAllStringSubmatch(comment, -1) {
		out[m[1]] = m[2]
	}
	return out
}
