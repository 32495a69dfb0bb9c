//go:build real

package service

import (
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

func TestRealT5WhatAStreamIsAskedForIsCheckedOnBothSidesOfItsLimits(t *testing.T) {
	d, _ := withFolder(t, "one")
	const invalid, unknown = "org.freedesktop.DBus.Error.InvalidArgs", "org.freedesktop.DBus.Error.NotSupported"
	for _, x := range []struct {
		method string
		o      client.Options
		door   [2]string
		listen client.Options
		want   string
	}{
		{"Serve", nil, [2]string{}, client.Options{"max-connections": uint32(256)}, ""},
		{"Serve", nil, [2]string{}, client.Options{"max-connections": uint32(257)}, invalid},
		{"Serve", nil, [2]string{}, client.Options{"max-connections": uint32(0)}, invalid},
		{"Serve", nil, [2]string{"tcp", "port"}, client.Options{"source-port": uint32(65535)}, ""},
		{"Serve", nil, [2]string{"tcp", "port"}, client.Options{"source-port": uint32(65536)}, invalid},
		{"Serve", nil, [2]string{"tcp", "port"}, nil, invalid},
		{"Serve", nil, [2]string{"tcp", "peer"}, nil, unknown},
		{"Serve", nil, [2]string{"unix", "password"}, nil, ""},
		{"Export", nil, [2]string{"unix", "password"}, nil, unknown},
		{"Export", nil, [2]string{"tcp", ""}, nil, ""},
		{"Serve", nil, [2]string{}, client.Options{"offset": uint64(1)}, unknown},
		{"Export", nil, [2]string{}, client.Options{"max-conections": uint32(2)}, invalid},
		{"Import", nil, [2]string{}, client.Options{"max-connections": uint32(2)}, invalid},
		{"Import", client.Options{"sha256": strings.Repeat("A", 64), "size": uint64(64 << 20)}, [2]string{}, nil, ""},
		{"Import", client.Options{"sha256": strings.Repeat("a", 63)}, [2]string{}, nil, invalid},
		{"Import", client.Options{"sha256": strings.Repeat("g", 64)}, [2]string{}, nil, invalid},
		{"Import", client.Options{"size": uint64(64<<20 + 1)}, [2]string{}, nil, client.Name + ".Error.TooLarge"},
		{"Export", client.Options{"since-revision": "1"}, [2]string{}, nil, invalid},
		{"Export", client.Options{"format": "json-lines", "since-revision": "1"}, [2]string{}, nil, unknown}, // it has no revisions
	} {
		path, err := d.c.Open(t.Context(), "here/work", "Collection."+x.method, x.o)
		if err == nil {
			_, _, err = d.c.Listen(t.Context(), path, x.door[0], x.door[1], x.listen)
		}
		if x.want == "" && err != nil || x.want != "" && !client.HasName(err, x.want) {
			t.Errorf("%s %v, %v %v: %v, want %q", x.method, x.o, x.door, x.listen, err, x.want)
		}
	}
}

func TestRealT8AsManyImportsAtOnceAsAreAllowed(t *testing.T) {
	d, _ := withFolder(t)
	var last dbus.ObjectPath
	for range mostImports {
		last = d.open("here/work", "Collection.Import", nil)
	}
	if _, err := d.c.Open(t.Context(), "here/work", "Collection.Import", nil); !client.HasName(err, "org.freedesktop.DBus.Error.LimitsExceeded") {
		t.Errorf("one more: %v", err)
	}
	d.must(d.c.Call(t.Context(), last, client.Name+".Stream.Close", []any{map[string]dbus.Variant{}}))
	d.open("here/work", "Collection.Import", nil)
}

func TestRealT23StreamsLeaveNoDescriptor(t *testing.T) {
	d, a := withFolder(t, "one")
	d.account("web", "dav", "url", "http://127.0.0.1:9/")
	open := func() float64 {
		return a.ask("Control.GetStatistics", nil)["statistics"].(map[string]any)["open-descriptors"].(float64)
	}
	round := func() {
		for _, x := range [][2]string{{"here/work", "Collection.Export"}, {"here/work", "Collection.Import"}, {"here/work", "Collection.Serve"}, {"web", "Account.OpenProxy"}} {
			for _, kind := range []string{"", "unix", "tcp"} {
				path := d.open(x[0], x[1], nil)
				if kind == "" {
					d.fd(path, nil).Close()
				} else if _, _, err := d.c.Listen(t.Context(), path, kind, "", nil); err != nil {
					t.Error(err)
				}
				err := d.c.Call(t.Context(), path, client.Name+".Stream.Close", []any{map[string]dbus.Variant{}})
				if err != nil && !client.HasName(err, "org.freedesktop.DBus.Error.UnknownObject") { // it has ended by itself
					t.Error(err)
				}
			}
		}
	}
	round() // what is opened once and kept
	before := open()
	for range 20 {
		round()
	}
	after := 0.0
	if !lab.Within(patience, func() bool { after = open(); return after <= before }) {
		t.Errorf("%v descriptors before, %v after", before, after)
	}
}
