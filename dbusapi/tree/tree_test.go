package tree_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/tree"
)

const (
	root  = "/org/example/Box1"
	iface = "org.example.Box1.Item"
	// std is the prefix of the standard interfaces and errors.
	std = "org.freedesktop.DBus."
)

const itemXML = `<!-- a head -->
<node>
  <!--
      org.example.Box1.Item:
      An item & nothing else.
  -->
  <interface name="org.example.Box1.Item">
    <!-- Name: -->
    <property name="Name" type="s" access="readwrite">
      <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="true"/>
    </property>
    <property name="Id" type="u" access="read">
      <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="const"/>
    </property>
    <property name="Parts" type="ao" access="read">
      <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="invalidates"/>
    </property>
    <method name="Note">
      <arg name="n" type="u" direction="in"/>
    </method>
    <method name="Echo">
      <arg name="text" type="s" direction="in"/>
      <arg name="options" type="a{sv}" direction="in"/>
      <arg name="text" type="s" direction="out"/>
      <arg name="options" type="a{sv}" direction="out"/>
      <annotation name="org.qtproject.QtDBus.QtTypeName.In1" value="QVariantMap"/>
    </method>
    <method name="Wait"><arg name="result" type="s" direction="out"/></method>
    <method name="Finish"/>
    <method name="Fail"><arg name="how" type="s" direction="in"/></method>
    <method name="Read">
      <arg name="from" type="h" direction="in"/>
      <arg name="text" type="s" direction="out"/>
    </method>
    <method name="Open">
      <arg name="text" type="s" direction="in"/>
      <arg name="from" type="h" direction="out"/>
    </method>
    <signal name="Seen"><arg name="n" type="u"/></signal>
  </interface>
</node>
`

// An item is the object that the tests publish.
type item struct {
	name  string
	parts []dbus.ObjectPath
	notes []uint32
	done  chan struct{}
	set   func(tree.Call, dbus.Variant) error
	note  func(tree.Call, uint32) error
	wait  func(tree.Call) (string, error)
}

var errOdd = errors.New("an odd error: \xff\x00")

func newItem(name string) *item { return &item{name: name, done: make(chan struct{})} }

func (i *item) face() tree.Interface {
	set, note, wait := i.set, i.note, i.wait
	if set == nil {
		set = func(tree.Call, dbus.Variant) error { return nil }
	}
	if note == nil {
		note = func(_ tree.Call, n uint32) error { i.notes = append(i.notes, n); return nil }
	}
	if wait == nil {
		wait = func(c tree.Call) (string, error) {
			if err := c.Detach(); err != nil {
				return "", err
			}
			select {
			case <-i.done:
				return "done", nil
			case <-c.Context().Done():
				return "", c.Context().Err()
			}
		}
	}
	return tree.Interface{
		Name: iface,
		Methods: map[string]any{
			"Note": note,
			"Echo": func(text string, options map[string]dbus.Variant) (string, map[string]dbus.Variant, error) {
				return text, options, nil
			},
			"Wait":   wait,
			"Finish": func() error { close(i.done); return nil },
			"Fail": func(how string) error {
				switch how {
				case "panic":
					panic("asked for it")
				case "odd":
					return errOdd
				}
				return dbus.NewError("org.example.Error.Asked", []any{how})
			},
			"Read": func(f *os.File) (string, error) {
				defer f.Close()
				text, err := io.ReadAll(f)
				return string(text), err
			},
			"Open": func(text string) (*os.File, error) {
				r, w, err := os.Pipe()
				if err != nil {
					return nil, err
				}
				defer w.Close()
				_, err = io.WriteString(w, text)
				return r, err
			},
		},
		Properties: map[string]tree.Property{
			"Name":  {Get: func() any { return i.name }, Set: set},
			"Id":    {Get: func() any { return uint32(7) }},
			"Parts": {Get: func() any { return i.parts }},
		},
	}
}

func newTree(t testing.TB) *tree.Tree {
	t.Helper()
	tr, err := tree.New(root, fstest.MapFS{"item.xml": {Data: []byte(itemXML)}})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func put(t testing.TB, tr *tree.Tree, p dbus.ObjectPath, i *item) {
	t.Helper()
	if err := tr.Put(p, i.face()); err != nil {
		t.Fatal(err)
	}
}

// errorName calls a method and gives the name of the error, "" for none.
func errorName(o dbus.BusObject, method string, args ...any) string {
	err := o.Call(method, 0, args...).Err
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[dbus.Error](err)
	if !ok {
		return "no bus error: " + err.Error()
	}
	return e.Name
}

func TestEveryFaultHasItsStandardName(t *testing.T) {
	tr := newTree(t)
	client := bustest.Serve(t, tr)
	put(t, tr, root+"/a/b", newItem("x"))
	odd := map[string]dbus.Variant{"k": dbus.MakeVariant(dbus.MakeVariant(uint32(1)))}
	for _, c := range []struct {
		path   dbus.ObjectPath
		method string
		args   []any
		want   string
	}{
		{root + "/a/b", iface + ".Echo", []any{"t", odd}, ""},
		{root + "/a/b", "Echo", []any{"t", odd}, ""},
		{root + "/nowhere", iface + ".Echo", []any{"t", odd}, std + "Error.UnknownObject"},
		{root + "/a/b/c", std + "Introspectable.Introspect", nil, std + "Error.UnknownObject"},
		{root + "/a/b", "org.example.Nope.Echo", []any{"t", odd}, std + "Error.UnknownInterface"},
		{root + "/a", iface + ".Echo", []any{"t", odd}, std + "Error.UnknownInterface"},
		{root + "/a/b", iface + ".Nope", nil, std + "Error.UnknownMethod"},
		{root + "/a/b", "Nope", nil, std + "Error.UnknownMethod"},
		{root + "/a/b", std + "Properties.Nope", nil, std + "Error.UnknownMethod"},
		{root + "/a/b", std + "Peer.Nope", nil, std + "Error.UnknownMethod"},
		{root + "/a/b", iface + ".Echo", []any{"t"}, std + "Error.InvalidArgs"},
		{root + "/a/b", iface + ".Echo", []any{"t", "u"}, std + "Error.InvalidArgs"},
		{root + "/a/b", iface + ".Finish", []any{"t"}, std + "Error.InvalidArgs"},
		{root + "/a/b", iface + ".Fail", []any{"x"}, "org.example.Error.Asked"},
		{root + "/a/b", iface + ".Fail", []any{"odd"}, std + "Error.Failed"},
		{root + "/a/b", std + "Properties.Get", []any{iface, "Name"}, ""},
		{root + "/a/b", std + "Properties.Get", []any{"", "Name"}, ""},
		{root + "/a/b", std + "Properties.Get", []any{iface, "Nope"}, std + "Error.UnknownProperty"},
		{root + "/a/b", std + "Properties.Get", []any{"org.example.Nope", "Name"}, std + "Error.UnknownInterface"},
		{root + "/a/b", std + "Properties.Get", []any{uint32(1), "Name"}, std + "Error.InvalidArgs"},
		{root + "/a/b", std + "Properties.GetAll", []any{iface}, ""},
		{root + "/a/b", std + "Properties.GetAll", []any{""}, ""},
		{root + "/a/b", std + "Properties.GetAll", []any{std + "Peer"}, ""},
		{root + "/a/b", std + "Properties.GetAll", []any{"org.example.Nope"}, std + "Error.UnknownInterface"},
		{root + "/a", std + "Properties.GetAll", []any{iface}, std + "Error.UnknownInterface"},
		{root + "/a/b", std + "Properties.Set", []any{iface, "Name", dbus.MakeVariant("y")}, ""},
		{root + "/a/b", std + "Properties.Set", []any{iface, "Name", dbus.MakeVariant(uint32(1))}, std + "Error.InvalidArgs"},
		{root + "/a/b", std + "Properties.Set", []any{iface, "Id", dbus.MakeVariant(uint32(1))}, std + "Error.PropertyReadOnly"},
		{root + "/a/b", std + "Properties.Set", []any{iface, "Nope", dbus.MakeVariant(uint32(1))}, std + "Error.UnknownProperty"},
		{"/nowhere", std + "Peer.Ping", nil, ""},
		{root + "/a/b", std + "ObjectManager.GetManagedObjects", nil, std + "Error.UnknownInterface"},
		{root, std + "ObjectManager.GetManagedObjects", nil, ""},
		{"/", std + "Introspectable.Introspect", nil, ""},
	} {
		if got := errorName(client.Object("", c.path), c.method, c.args...); got != c.want {
			t.Errorf("%s of %s with %v: got %q, want %q", c.method, c.path, c.args, got, c.want)
		}
	}
}

func TestWhatDiffersFromTheXMLIsRefused(t *testing.T) {
	for want, spoil := range map[string]func(*tree.Interface){
		`"t -> s" here and "sa{sv} -> sa{sv}" there`: func(i *tree.Interface) {
			i.Methods["Echo"] = func(tree.Call, uint64) (string, error) { return "", nil }
		},
		"has a method Extra here":    func(i *tree.Interface) { i.Methods["Extra"] = func() error { return nil } },
		"is absent here":             func(i *tree.Interface) { delete(i.Methods, "Note") },
		"no function that ends in":   func(i *tree.Interface) { i.Methods["Finish"] = func() {} },
		"which the bus cannot carry": func(i *tree.Interface) { i.Methods["Finish"] = func(chan int) error { return nil } },
		"has a property Extra here":  func(i *tree.Interface) { i.Properties["Extra"] = i.Properties["Id"] },
		"property Id of":             func(i *tree.Interface) { delete(i.Properties, "Id") },
		`is "s" here and "u" there`:  func(i *tree.Interface) { i.Properties["Id"] = tree.Property{Get: func() any { return "" }} },
		"written: true here": func(i *tree.Interface) {
			i.Properties["Id"] = tree.Property{Get: i.Properties["Id"].Get, Set: i.Properties["Name"].Set}
		},
		"written: false here":          func(i *tree.Interface) { i.Properties["Name"] = tree.Property{Get: i.Properties["Name"].Get} },
		"no XML file describes org.ex": func(i *tree.Interface) { i.Name = "org.example.Other" },
	} {
		i := newItem("x").face()
		spoil(&i)
		if err := newTree(t).Put(root+"/c", i); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want something with %q", err, want)
		}
	}
	if err := newTree(t).Put(root+"/c", newItem("x").face()); err != nil {
		t.Error(err)
	}
}

func TestIntrospectionIsTheXML(t *testing.T) {
	tr := newTree(t)
	client := bustest.Serve(t, tr)
	put(t, tr, root+"/a/b", newItem("x"))
	put(t, tr, "/org/freedesktop/Other", newItem("y"))
	look := func(p dbus.ObjectPath) string {
		var text string
		if err := client.Object("", p).Call(std+"Introspectable.Introspect", 0).Store(&text); err != nil {
			t.Fatal(err)
		}
		return text
	}
	text := look(root + "/a/b")
	want := itemXML[strings.Index(itemXML, "  <interface"):]
	want = want[:strings.Index(want, "</node>")]
	var lines []string
	for line := range strings.SplitSeq(want, "\n") {
		if !strings.Contains(line, "<!--") {
			lines = append(lines, line)
		}
	}
	if want = strings.Join(lines, "\n"); !strings.Contains(text, want) {
		t.Errorf("got\n%s\nwhich lacks\n%s", text, want)
	}
	if strings.Contains(text, "<!--") || strings.Contains(text, "nothing else") {
		t.Errorf("comments are left:\n%s", text)
	}
	var nodes []string
	for _, p := range []dbus.ObjectPath{"/", "/org", "/org/example", root, root + "/a"} {
		for part := range strings.SplitSeq(look(p), "<node name=\"") {
			if name, rest, ok := strings.Cut(part, "\""); ok && strings.HasPrefix(rest, "/>") {
				nodes = append(nodes, fmt.Sprint(p, ":", name))
			}
		}
	}
	if want := []string{"/:org", "/org:example", "/org:freedesktop", "/org/example:Box1", root + ":a", root + "/a:b"}; !slices.Equal(nodes, want) {
		t.Errorf("got %v, want %v", nodes, want)
	}
	if err := tr.Drop(root + "/a/b"); err != nil {
		t.Fatal(err)
	}
	if got := errorName(client.Object("", root+"/a"), std+"Introspectable.Introspect"); got != std+"Error.UnknownObject" {
		t.Errorf("an empty branch stays: %q", got)
	}
}
