package dbusapi

import (
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/engine"
)

const (
	invalidArgs  = "org.freedesktop.DBus.Error.InvalidArgs"
	notSupported = "org.freedesktop.DBus.Error.NotSupported"
	denied       = "org.freedesktop.DBus.Error.AccessDenied"
	limits       = "org.freedesktop.DBus.Error.LimitsExceeded"
	notFound     = "org.davbus.Sync1.Error.NotFound"

	alreadyExists = "org.davbus.Sync1.Error.AlreadyExists"
	peerRefused   = "org.davbus.Sync1.Error.PeerRefused"
)

// A try is one call of one member. With kind, the host refuses; with want, the
// call fails.
type try struct {
	method string // interface without our prefix, and member
	args   []any
	host   string
	kind   engine.Kind
	want   string
}

func opts(pairs ...any) dict {
	out := dict{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i].(string)] = dbus.MakeVariant(pairs[i+1])
	}
	return out
}

var none, typo = dict{}, dict{"dryrun": dbus.MakeVariant(true)}

// notHere are the methods that a later build will have.
var notHere = []string{"Shell.Export", "Shell.Import", "Shell.Serve", "Shell.Proxy",
	"Account.OpenProxy", "Account.ServePlugin", "Collection.Export", "Collection.Import", "Collection.Serve"}

func TestEveryMethodSucceedsAndFailsAsDocumented(t *testing.T) {
	b := open(t)
	documented, paths := documentedErrors(t), served()
	good, bad := map[string]bool{}, map[string]bool{}
	for _, x := range tries(secretFile(t), socketFile(t)) {
		iface := BusName + "." + strings.Split(x.method, ".")[0]
		b.host.failWith(x.host, orNone(x))
		b.callers.be(Caller{Name: ":1.7", Initiator: "org.example.App", Sandboxed: x.want == denied})
		if x.method == "Shell.SyncAndWait" && x.want == "" {
			go b.endNext(b.endAll())
		}
		full := BusName + "." + x.method
		if x.want == "" {
			body := b.must(paths[iface], full, x.args...)
			closeFiles(body)
			good[full] = true
		} else {
			b.fails(x.want, paths[iface], full, x.args...)
			bad[full] = true
			if !slices.Contains(documented[full], x.want) {
				t.Errorf("%s answers %s, which the XML does not document", full, x.want)
			}
		}
		b.host.failWith(x.host, engine.KindCount)
	}
	for name, i := range contract(t) {
		if paths[name] == "" || name == ifLog {
			continue
		}
		for _, m := range i.Methods {
			full := name + "." + m.Name
			if !good[full] && !slices.Contains(notHere, strings.TrimPrefix(full, BusName+".")) {
				t.Errorf("%s was never seen to succeed", full)
			}
			if !bad[full] {
				t.Errorf("%s was never seen to fail", full)
			}
		}
	}
}

func orNone(x try) engine.Kind {
	if x.host == "" {
		return engine.KindCount
	}
	return x.kind
}

// endAll ends all jobs and gives the number of the last one.
func (b *bench) endAll() engine.JobID {
	for _, j := range b.face.view.active() {
		b.host.end(j.ID, engine.Success, engine.Failure{})
	}
	b.face.settle()
	return b.face.view.lastJob()
}

// endNext ends the first job after last.
func (b *bench) endNext(last engine.JobID) {
	for s := range b.signals {
		if strings.HasSuffix(s.Name, ".JobNew") && engine.JobID(s.Body[0].(uint32)) > last {
			b.host.end(engine.JobID(s.Body[0].(uint32)), engine.Success, engine.Failure{})
			return
		}
	}
}
