//go:build real

package service

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/service/lab"
	"davbus.org/davbus/service/plugin"
)

// inMemory is a plugin in this process: a calendar in memory.
type inMemory struct {
	source *memory.Source
	items  *memory.Storage
	work   sync.WaitGroup
}

// lasting is open as long as the program.
type lasting struct{ *memory.Source }

func (lasting) Close() error { return nil }

func newProgram(t *testing.T) *inMemory {
	o := &inMemory{source: new(memory.Source)}
	o.items = o.source.Add(engine.Collection{Name: "cal", Kind: engine.Calendar, Writable: true})
	t.Cleanup(o.work.Wait)
	return o
}

// serve speaks davbus-plugin(7) on one connection, until that ends.
func (o *inMemory) serve(c net.Conn) {
	o.work.Go(func() {
		// How it ends is the test's doing.
		_ = plugin.Serve(c, "ours", func(engine.Params) (engine.Source, error) { return lasting{o.source}, nil })
	})
}

func (d *rig) describePlugin(id, text string) {
	d.Helper()
	d.write(filepath.Join(".local/share/davbus/plugins", id+".yaml"), text)
}

// pair joins a plugin's calendar and a folder.
func (d *rig) pair(kind string, params ...any) {
	d.Helper()
	d.account("there", kind, params...)
	d.account("here", "vdir", "path", filepath.Join(d.Dir, "here"), "kind", "calendar")
	_, err := d.c.AddGroup(d.Context(), "both", []string{"there", "here"}, client.Options{"create-missing": []string{"here"}, "interval-sec": uint32(0)})
	d.must(err)
}

func (d *rig) until(what string, ok func() bool) {
	d.Helper()
	if !lab.Within(30*time.Second, ok) {
		d.Fatalf("not within 30 s: %s\n%s", what, d.log.String())
	}
}

func (d *rig) plugin(id string) client.Props {
	d.Helper()
	objects, err := d.c.Objects(d.Context())
	d.must(err)
	for path, p := range client.Each(objects, "Plugin") {
		if path == client.PluginPath(id) {
			return p
		}
	}
	return nil
}

func (d *rig) pluginState(id, want string) {
	d.Helper()
	d.until("plugin "+id+" is "+want, func() bool { return d.plugin(id).Str("State") == want })
}

func TestAProgramThatOwnsItsProcessRegistersAsAPlugin(t *testing.T) {
	d := home(t)
	o := newProgram(t) // ends after the daemon, which ends its connections
	d.start()
	o.items.Put("one", []byte(vevent("one", "One")))
	program, err := client.Dial(t.Context())
	d.must(err)
	socket, err := program.RegisterPlugin(t.Context(), "mine", client.Options{"kinds": []string{"calendar"}})
	d.must(err)
	c, err := net.FileConn(socket)
	d.must(err)
	socket.Close()
	o.serve(c)
	if p := d.plugin("mine"); p.Str("State") != "connected" || p.Str("BusName") != program.Conn().Names()[0] {
		t.Errorf("the object says %v", p.Plain())
	}
	d.pair("plugin:mine")
	d.sync("both", "success")
	if got := d.files("here/cal"); got != "One" {
		t.Fatalf("in the folder: %s", got)
	}

	// The program leaves: its object tells, and nothing is deleted.
	program.Close()
	d.pluginState("mine", "gone")
	d.sync("both", "failed")
	if got := d.files("here/cal"); got != "One" {
		t.Errorf("in the folder: %s", got)
	}

	// It comes again, by the cookie this time, and is synced without being asked.
	o.items.Put("two", []byte(vevent("two", "Two")))
	if program, err = client.Dial(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	address, cookie := d.register(program, "mine")
	o.serve(d.enter(address, cookie))
	d.until("the second item comes", func() bool { return strings.Contains(d.files("here/cal"), "Two") })

	// Nobody else takes its place, and a cookie is good for one connection.
	other, err := client.Dial(t.Context())
	d.must(err)
	defer other.Close()
	var path dbus.ObjectPath
	err = other.Call(t.Context(), client.Root, client.Name+".PluginManager.Register", []any{"mine", map[string]dbus.Variant{}}, &path, &address, &cookie)
	if !client.HasName(err, "AlreadyExists") {
		t.Errorf("a second program: %v", err)
	}
	if n, err := d.enter(address, cookie).Read(make([]byte, 1)); err == nil {
		t.Errorf("a used cookie let somebody in: %d bytes", n)
	}
}

func (d *rig) register(program *client.Client, id string) (address, cookie string) {
	d.Helper()
	var path dbus.ObjectPath
	d.must(program.Call(d.Context(), client.Root, client.Name+".PluginManager.Register", []any{id, map[string]dbus.Variant{}}, &path, &address, &cookie))
	return address, cookie
}

// enter goes to the door with a cookie.
func (d *rig) enter(address, cookie string) net.Conn {
	d.Helper()
	c, err := net.Dial("unix", address)
	d.must(err)
	d.Cleanup(func() { c.Close() })
	_, err = fmt.Fprintln(c, cookie)
	d.must(err)
	return c
}

func TestAPluginIsFoundRunningWhicheverSideIsFirst(t *testing.T) {
	d := home(t)
	o := newProgram(t)
	d.describePlugin("there", "name: there\nsocket: \"%t/there.sock\"\n")
	d.start()
	d.pair("plugin:there")
	if name := d.sync("both", "failed").Str("error-name"); name != client.Name+".Error.PluginMissing" {
		t.Errorf("with nobody there: %s", name)
	}
	o.items.Put("one", []byte(vevent("one", "One")))
	l, err := net.Listen("unix", filepath.Join(d.Runtime, "there.sock"))
	d.must(err)
	o.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			o.serve(c)
		}
	})
	t.Cleanup(func() { l.Close() })
	d.until("it is noticed and synced", func() bool { return d.files("here/cal") == "One" })
	d.pluginState("there", "connected")
}

func TestAProgramTellsWhereAPluginIs(t *testing.T) {
	for how, script := range map[string]string{
		"by a path":       "#!/bin/sh\necho unix:%s\n",
		"by a descriptor": "#!/usr/bin/python3\nimport socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('%s')\nsocket.send_fds(socket.socket(fileno=1), [b'x'], [s.fileno()])\n",
	} {
		t.Run(how, func(t *testing.T) {
			d := home(t)
			o := newProgram(t)
			o.items.Put("one", []byte(vevent("one", "One")))
			path := filepath.Join(d.Runtime, "there.sock")
			l, err := net.Listen("unix", path)
			d.must(err)
			o.work.Go(func() {
				if c, err := l.Accept(); err == nil {
					o.serve(c)
				}
			})
			t.Cleanup(func() { l.Close() })
			d.write("locate", fmt.Sprintf(script, path))
			d.must(os.Chmod(filepath.Join(d.Dir, "locate"), 0o700))
			d.describePlugin("there", "name: there\nlocate: ["+filepath.Join(d.Dir, "locate")+"]\n")
			d.start()
			d.pair("plugin:there")
			d.sync("both", "success")
			if got := d.files("here/cal"); got != "One" {
				t.Errorf("in the folder: %s", got)
			}
		})
	}
}

func TestThePluginIsStartedByTheBus(t *testing.T) {
	services := t.TempDir()
	program, err := filepath.Abs("testdata/busplugin.py")
	if err != nil {
		t.Fatal(err)
	}
	todotxt, err := filepath.Abs("../data/plugins/davbus-todotxt")
	if err != nil {
		t.Fatal(err)
	}
	text := "[D-BUS Service]\nName=org.davbus.Plugin1.bustodo\nExec=/usr/bin/python3 " + program + " bustodo " + todotxt + "\n"
	if err := os.WriteFile(filepath.Join(services, "plugin.service"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := home(t, services)
	d.write("todo.txt", "Buy milk\n")
	d.start()
	var ids []string
	d.must(d.c.Call(t.Context(), client.Root, client.Name+".PluginManager.ListActivatable", nil, &ids))
	if len(ids) != 1 || ids[0] != "bustodo" {
		t.Errorf("activatable: %v", ids)
	}
	d.describesItself()
	d.pair("plugin:bustodo", "path", filepath.Join(d.Dir, "todo.txt"))
	d.sync("both", "success")
	if got := d.files("here/todo"); !strings.Contains(got, "Buy milk") {
		t.Errorf("in the folder: %s", got)
	}
	d.pluginState("bustodo", "connected")
	if p := d.plugin("bustodo"); p.Str("BusName") == "" || p.Int("ProtocolVersion") != 1 {
		t.Errorf("the object says %v", p.Plain())
	}
	// What it told is remembered: its account is valid before it is asked again.
	d.must(d.stop())
	d.start()
	d.sync("both", "success")
	d.describesItself()
}

// describesItself: the plugin is asked what parameters its accounts have, so that
// a dialog can be built.
func (d *rig) describesItself() {
	d.Helper()
	list, err := d.c.Parameters(d.Context(), "plugin:bustodo")
	d.must(err)
	said := map[string]client.Props{}
	for _, p := range list {
		said[p.Str("name")] = p
	}
	if p := said["path"]; !p.Bool("required") || p.Str("signature") != "s" || p.Str("summary") != "The todo.txt file" {
		d.Errorf("path: %v", p.Plain())
	}
	if p := said["order"]; p.Bool("required") || p.Str("default") != "date" || len(p.Strs("choices")) != 2 {
		d.Errorf("order: %v", p.Plain())
	}
	if said["read-only"] == nil {
		d.Errorf("what every plugin has is missing: %v", said)
	}
}
