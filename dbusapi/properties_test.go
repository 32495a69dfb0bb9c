package dbusapi

import (
	"reflect"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/engine"
)

func TestEveryPropertyIsThereAndOnlyTheWritableCanBeSet(t *testing.T) {
	b := open(t)
	writable := map[string][2]any{ // a value, and one that is refused
		"Account.DisplayName": {"New", "New"}, "Account.Enabled": {false, false},
		"Group.Enabled": {false, false}, "Group.ConflictPolicy": {"newest", "newest"}, "Group.IntervalSec": {uint32(60), uint32(60)},
	}
	hosts := map[string]string{"Account.DisplayName": "SetAccountName", "Account.Enabled": "EnableAccount", "Group": "UpdateGroup"}
	const set = "org.freedesktop.DBus.Properties.Set"
	for name, i := range contract(t) {
		path := served()[name]
		if path == "" {
			continue
		}
		for _, p := range i.Properties {
			v := b.must(path, "org.freedesktop.DBus.Properties.Get", name, p.Name)[0].(dbus.Variant)
			if v.Signature().String() != p.Type {
				t.Errorf("%s.%s is %s, not %s", name, p.Name, v.Signature(), p.Type)
			}
			short := strings.TrimPrefix(name, BusName+".") + "." + p.Name
			switch value, ok := writable[short]; {
			case ok:
				b.fails(invalidArgs, path, set, name, p.Name, dbus.MakeVariant(1.5))
				host := hosts[short]
				if host == "" {
					host = hosts[strings.Split(short, ".")[0]]
				}
				b.host.failWith(host, engine.Managed)
				b.fails(errorNames[engine.Managed], path, set, name, p.Name, dbus.MakeVariant(value[1]))
				b.host.failWith(host, engine.KindCount)
				b.must(path, set, name, p.Name, dbus.MakeVariant(value[0]))
				if got := b.get(path, name, p.Name); !reflect.DeepEqual(got, value[0]) {
					t.Errorf("%s was set to %v and is %v", short, value[0], got)
				}
			case name == ifLog:
			case p.Access != "read":
				t.Errorf("%s can be written and is not tried", short)
			default:
				b.fails("org.freedesktop.DBus.Error.PropertyReadOnly", path, set, name, p.Name, v)
			}
		}
	}
}

func TestLogLevelCanBeChangedAndTheTargetCannot(t *testing.T) {
	b := open(t)
	const set = "org.freedesktop.DBus.Properties.Set"
	b.must(LogPath, set, ifLog, "LogLevel", dbus.MakeVariant("debug"))
	if got := b.get(LogPath, ifLog, "LogLevel"); got != "debug" {
		t.Errorf("LogLevel is %v", got)
	}
	b.fails(invalidArgs, LogPath, set, ifLog, "LogLevel", dbus.MakeVariant("loud"))
	b.must(LogPath, set, ifLog, "LogTarget", dbus.MakeVariant("console"))
	b.fails(notSupported, LogPath, set, ifLog, "LogTarget", dbus.MakeVariant("journal"))
}

func TestEverySignalOfTheContractArrivesWithItsTypes(t *testing.T) {
	b := open(t)
	b.must(Root+"/job/42", ifJob+".Watch", none)
	b.host.publish(
		engine.Attention{Account: "work", Failure: engine.Failure{Kind: engine.AuthFailed, Message: "m", Set: true}},
		engine.ItemsChanged{Collection: "local/cal", Added: []string{"a.ics"}},
		engine.JobItems{Job: 42, Items: steps(2)},
	)
	b.host.newJob("sync", engine.Target{Group: "home"}, "schedule")
	b.host.end(42, engine.Success, engine.Failure{})
	b.tunnelToNowhere()
	for name, i := range contract(t) {
		if served()[name] == "" {
			continue
		}
		for _, s := range i.Signals {
			want := ""
			for _, a := range s.Args {
				want += a.Type
			}
			got := b.find(name + "." + s.Name)
			if sig := dbus.SignatureOf(got.Body...).String(); sig != want && strings.ReplaceAll(sig, "av", "(sss)") != want {
				t.Errorf("%s.%s carries %s, not %s", name, s.Name, sig, want)
			}
		}
	}
}
