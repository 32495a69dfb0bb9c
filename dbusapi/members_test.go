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

// tries hold, for every method, a success if this build has it and an error
// that the XML documents.
func tries(fd dbus.UnixFD) []try {
	var all []try
	ok := func(method string, args ...any) { all = append(all, try{method: method, args: args}) }
	bad := func(want, method string, args ...any) { all = append(all, try{method: method, args: args, want: want}) }
	refused := func(host string, kind engine.Kind, method string, args ...any) {
		all = append(all, try{method, args, host, kind, errorNames[kind]})
	}
	sync := opts("mode", "from:work", "slow", true, "dry-run", true, "if-running", "queue", "bind-to-caller", true, "timeout-usec", uint64(5), "x-mine", 1.5)

	ok("Manager.Sync", "home", sync)
	bad(notFound, "Manager.Sync", "nothing", none)
	refused("Sync", engine.Disabled, "Manager.Sync", "home", none)
	refused("Sync", engine.Busy, "Manager.Sync", "home", opts("if-running", "fail"))
	bad(invalidArgs, "Manager.Sync", "home", typo)
	bad(invalidArgs, "Manager.Sync", "home", opts("mode", "sideways"))
	bad(invalidArgs, "Manager.Sync", "home", opts("if-running", "panic"))
	bad(invalidArgs, "Manager.Sync", "home", opts("slow", "yes"))
	ok("Manager.AddAccount", "w2", "dav", opts("url", "https://h/", "auth", "basic", "password-command", []string{"cat", "f"}), opts("display-name", "W", "enabled", false, "if-exists", "ensure"))
	ok("Manager.AddAccount", "", "dav", opts("url", "https://h/"), none)
	bad(notSupported, "Manager.AddAccount", "w3", "nosuch", none, none)
	bad(invalidArgs, "Manager.AddAccount", "w3", "dav", none, none)
	bad(invalidArgs, "Manager.AddAccount", "w3", "dav", opts("url", uint32(1)), none)
	bad(invalidArgs, "Manager.AddAccount", "w3", "dav", opts("url", "u", "ulr", "u"), none)
	bad(invalidArgs, "Manager.AddAccount", "w3", "dav", opts("url", "u", "password", "hidden"), none)
	bad(invalidArgs, "Manager.AddAccount", "w3", "dav", opts("url", "u", "auth", "magic"), none)
	bad(invalidArgs, "Manager.AddAccount", "3w", "dav", opts("url", "u"), none)
	bad(invalidArgs, "Manager.AddAccount", strings.Repeat("w", 65), "dav", opts("url", "u"), none)
	refused("AddAccount", engine.AlreadyExists, "Manager.AddAccount", "work", "dav", opts("url", "u"), none)
	ok("Manager.AddGroup", "g2", []string{"work", "local"}, opts("direction", "from:work", "conflict-policy", "ask", "interval-sec", uint32(60), "enabled", true, "create-missing", []string{"local"}, "if-exists", "fail"))
	bad(invalidArgs, "Manager.AddGroup", "g3", []string{"work"}, none)
	refused("AddGroup", engine.NotFound, "Manager.AddGroup", "g3", []string{"work", "x"}, none)
	ok("Manager.GetParameters", "dav")
	bad(notSupported, "Manager.GetParameters", "nosuch")
	ok("Manager.Lookup", "work/cal")
	bad(notFound, "Manager.Lookup", "x")
	ok("Manager.ListConflicts", "", uint32(0), uint32(500), none)
	bad(invalidArgs, "Manager.ListConflicts", "", uint32(0), uint32(501), none)
	ok("Manager.ListProblems", "", uint32(0), uint32(9), opts("held", true))
	refused("Problems", engine.NotFound, "Manager.ListProblems", "x", uint32(0), uint32(9), none)
	ok("Manager.Undo", uint32(7), opts("member", "work/cal", "dry-run", true))
	refused("Undo", engine.NotFound, "Manager.Undo", uint32(1), none)
	ok("Manager.GetHistory", "", uint32(0), uint32(9), none)
	bad(invalidArgs, "Manager.GetHistory", "", uint32(0), uint32(9), typo)
	ok("Manager.Pause", uint32(60), opts("cancel-running", true, "bind-to-caller", true))
	bad(invalidArgs, "Manager.Pause", uint32(60), typo)
	ok("Manager.Resume")
	bad(denied, "Manager.Resume")
	ok("Manager.Inhibit", "backup", opts("what", "schedule"))
	bad(invalidArgs, "Manager.Inhibit", strings.Repeat("x", 257), none)
	bad(notSupported, "Manager.RegisterAgent", dbus.ObjectPath("/a"), none)
	bad(notSupported, "Manager.UnregisterAgent", dbus.ObjectPath("/a"))

	ok("Shell.Sync", "")
	bad(notFound, "Shell.Sync", "x")
	bad(notFound, "Shell.SyncAndWait", "x")
	ok("Shell.Wait", "43")
	ok("Shell.Wait", string(Root)+"/job/43")
	ok("Shell.Wait", "7") // its object is gone
	bad(notFound, "Shell.Wait", "99")
	bad(invalidArgs, "Shell.Wait", "soon")
	ok("Shell.Cancel", "43")
	bad(notFound, "Shell.Cancel", "x")
	bad(notFound, "Shell.Cancel", "local") // nothing works on it
	for _, kind := range listKinds {
		ok("Shell.List", kind)
	}
	bad(invalidArgs, "Shell.List", "cats")
	ok("Shell.Status", "")
	bad(notFound, "Shell.Status", "x")
	for _, member := range []string{"Export", "Import", "Serve", "Proxy"} {
		bad(notSupported, "Shell."+member, "work/cal")
	}

	ok("Control.Reload", opts("dry-run", true))
	refused("Reload", engine.InvalidConfig, "Control.Reload", none)
	ok("Control.GetStatistics", none)
	bad(invalidArgs, "Control.GetStatistics", typo)
	ok("Control.Quit", opts("finish-jobs", false))
	bad(invalidArgs, "Control.Quit", typo)

	bad(notSupported, "PluginManager.Register", "p", none)
	bad(notSupported, "PluginManager.Unregister", "p")
	bad(notSupported, "PluginManager.ListActivatable")
	bad(notSupported, "Introducer.Register", "n", dbus.ObjectPath("/a"), none)
	bad(notSupported, "Introducer.Unregister", "n")
	bad(notSupported, "Introducer.Introduce", "n", fd, none)
	bad(notSupported, "Introducer.Offer", "n", "http", "tcp:127.0.0.1:1", none)
	bad(notSupported, "Introducer.Take", "n", "http", none)

	ok("Account.Sync", none)
	bad(invalidArgs, "Account.Sync", typo)
	ok("Account.Discover", opts("forget-gone", true))
	refused("Discover", engine.Disabled, "Account.Discover", none)
	ok("Account.Check", opts("parameters", opts("url", "https://other/")))
	ok("Account.Check", none)
	bad(invalidArgs, "Account.Check", opts("parameters", opts("ulr", "x")))
	ok("Account.Update", opts("url", "https://new/"), []string{"via"}, none)
	bad(invalidArgs, "Account.Update", none, []string{"password"}, none)
	bad(invalidArgs, "Account.Update", none, []string{"url"}, none)
	bad(invalidArgs, "Account.Update", opts("via", "unix:/s"), []string{"via"}, none)
	refused("UpdateAccount", engine.Managed, "Account.Update", none, []string{}, none)
	ok("Account.SetSecret", "password", fd, opts("store", "session"))
	bad(invalidArgs, "Account.SetSecret", "url", fd, none)
	bad(invalidArgs, "Account.SetSecret", "password", fd, opts("store", "paper"))
	ok("Account.ForgetSecret", "password", none)
	bad(invalidArgs, "Account.ForgetSecret", "url", none)
	ok("Account.CreateCollection", "new", "calendar", opts("display-name", "N", "color", "#112233", "description", "d", "components", []string{"VEVENT"}))
	bad(invalidArgs, "Account.CreateCollection", "new", "mailbox", none)
	bad(invalidArgs, "Account.CreateCollection", "a/b", "calendar", none)
	bad(notSupported, "Account.OpenProxy", none)
	refused("RemoveAccount", engine.Busy, "Account.Remove", none)

	ok("Collection.Sync", none)
	bad(invalidArgs, "Collection.Sync", typo)
	ok("Collection.Update", opts("display-name", "N", "color", "#aabbcc", "order", int32(4)), []string{"description"}, none)
	bad(invalidArgs, "Collection.Update", opts("color", "red"), []string{}, none)
	bad(invalidArgs, "Collection.Update", opts("order", "4"), []string{}, none)
	bad(invalidArgs, "Collection.Update", none, []string{"size"}, none)
	ok("Collection.Repair", opts("dry-run", true))
	refused("Repair", engine.ReadOnly, "Collection.Repair", none)
	for _, member := range []string{"Export", "Import", "Serve"} {
		bad(notSupported, "Collection."+member, none)
	}
	ok("Collection.Explain", "a.ics")
	refused("Explain", engine.NotFound, "Collection.Explain", "b.ics")
	ok("Collection.ListVersions", "", uint32(0), uint32(9), none)
	bad(invalidArgs, "Collection.ListVersions", "", uint32(0), uint32(900), none)
	ok("Collection.Restore", "a.ics", uint64(5), opts("as-copy", true))
	refused("Restore", engine.NotFound, "Collection.Restore", "a.ics", uint64(6), none)

	ok("Group.Sync", opts("mode", "two-way"))
	bad(invalidArgs, "Group.Sync", typo)
	ok("Group.ConfirmDeletions", true, opts("member", "work/cal", "expect", uint32(3)))
	refused("ConfirmDeletions", engine.Changed, "Group.ConfirmDeletions", true, none)
	ok("Group.AddMember", "other", none)
	refused("AddMember", engine.NotFound, "Group.AddMember", "other", none)
	ok("Group.RemoveMember", "other", none)
	refused("RemoveMember", engine.Managed, "Group.RemoveMember", "other", none)
	ok("Group.ResetState", none)
	refused("ResetState", engine.Busy, "Group.ResetState", none)
	ok("Group.Update", opts("hold-items", uint32(3), "conflict-command", []string{"c"}), []string{"direction"}, none)
	bad(invalidArgs, "Group.Update", opts("hold-items", "3"), []string{}, none)
	refused("RemoveGroup", engine.Managed, "Group.Remove", none)

	ok("Job.GetReport")
	refused("Report", engine.StorageError, "Job.GetReport")
	bad("org.davbus.Sync1.Error.Timeout", "Job.Wait", opts("timeout-usec", uint64(1000)))
	ok("Job.Watch", opts("interval-ms", uint32(100)))
	bad(invalidArgs, "Job.Watch", opts("interval-ms", uint32(99)))
	ok("Job.Unwatch")
	bad(notFound, "Job.Unwatch")
	ok("Job.OpenEvents", opts("replay", false))
	bad(invalidArgs, "Job.OpenEvents", typo)

	ok("Conflict.GetVersions", none)
	refused("ConflictTexts", engine.NotFound, "Conflict.GetVersions", none)
	ok("Conflict.OpenVersion", "base", none)
	bad(notFound, "Conflict.OpenVersion", "nobody", none)
	ok("Conflict.Resolve", "merged", opts("data", "x", "revision", "r1"))
	ok("Conflict.Resolve", "member:work/cal", none)
	bad(invalidArgs, "Conflict.Resolve", "dice", none)
	bad(invalidArgs, "Conflict.Resolve", "both", opts("data", "x"))
	refused("Resolve", engine.Changed, "Conflict.Resolve", "both", none)

	// What ends things comes last.
	ok("Job.Cancel", opts("force", true))
	ok("Job.Cancel", none) // once more is no error
	bad(invalidArgs, "Job.Cancel", typo)
	ok("Job.Wait", opts("raise", false))
	ok("Shell.SyncAndWait", "work") // its job is done at once: see the test
	ok("Group.Remove", none)
	ok("Account.Remove", opts("forget-secrets", false))
	return all
}

// notHere are the methods that a later build will have.
var notHere = []string{"Manager.RegisterAgent", "Manager.UnregisterAgent", "Shell.Export", "Shell.Import", "Shell.Serve", "Shell.Proxy",
	"PluginManager.Register", "PluginManager.Unregister", "PluginManager.ListActivatable",
	"Introducer.Register", "Introducer.Unregister", "Introducer.Introduce", "Introducer.Offer", "Introducer.Take",
	"Account.OpenProxy", "Collection.Export", "Collection.Import", "Collection.Serve"}

func TestEveryMethodSucceedsAndFailsAsDocumented(t *testing.T) {
	b := open(t)
	documented, paths := documentedErrors(t), served()
	good, bad := map[string]bool{}, map[string]bool{}
	for _, x := range tries(secretFile(t)) {
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
