package dbusapi

import (
	"strings"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/engine"
)

// A list gathers tries.
type list struct{ all []try }

func (l *list) ok(method string, args ...any) { l.all = append(l.all, try{method: method, args: args}) }
func (l *list) bad(want, method string, args ...any) {
	l.all = append(l.all, try{method: method, args: args, want: want})
}
func (l *list) refused(host string, kind engine.Kind, method string, args ...any) {
	l.all = append(l.all, try{method, args, host, kind, errorNames[kind]})
}

// tries hold, for every method, a success if this build has it and an error
// that the XML documents. What ends things comes last.
func tries(fd, socket dbus.UnixFD) []try {
	l := &list{}
	managerTries(l)
	shellTries(l)
	controlTries(l)
	otherTries(l)
	introducerTries(l, fd, socket)
	accountTries(l, fd)
	collectionTries(l)
	groupTries(l)
	jobTries(l)
	conflictTries(l)
	lastTries(l)
	return l.all
}

func managerTries(l *list) {
	sync := opts("mode", "from:work", "slow", true, "dry-run", true, "if-running", "queue", "bind-to-caller", true, "timeout-usec", uint64(5), "x-mine", 1.5)
	l.ok("Manager.Sync", "home", sync)
	l.bad(notFound, "Manager.Sync", "nothing", none)
	l.refused("Sync", engine.Disabled, "Manager.Sync", "home", none)
	l.refused("Sync", engine.Busy, "Manager.Sync", "home", opts("if-running", "fail"))
	l.bad(invalidArgs, "Manager.Sync", "home", typo)
	l.bad(invalidArgs, "Manager.Sync", "home", opts("mode", "sideways"))
	l.bad(invalidArgs, "Manager.Sync", "home", opts("if-running", "panic"))
	l.bad(invalidArgs, "Manager.Sync", "home", opts("slow", "yes"))
	l.ok("Manager.AddAccount", "w2", "dav", opts("url", "https://h/", "auth", "basic", "password-command", []string{"cat", "f"}), opts("display-name", "W", "enabled", false, "if-exists", "ensure"))
	l.ok("Manager.AddAccount", "", "dav", opts("url", "https://h/"), none)
	l.bad(notSupported, "Manager.AddAccount", "w3", "nosuch", none, none)
	l.bad(invalidArgs, "Manager.AddAccount", "w3", "dav", none, none)
	l.bad(invalidArgs, "Manager.AddAccount", "w3", "dav", opts("url", uint32(1)), none)
	l.bad(invalidArgs, "Manager.AddAccount", "w3", "dav", opts("url", "u", "ulr", "u"), none)
	l.bad(invalidArgs, "Manager.AddAccount", "w3", "dav", opts("url", "u", "password", "hidden"), none)
	l.bad(invalidArgs, "Manager.AddAccount", "w3", "dav", opts("url", "u", "auth", "magic"), none)
	l.bad(invalidArgs, "Manager.AddAccount", "w3", "dav", opts("url", "https://h/\tx"), none)
	l.bad(invalidArgs, "Manager.AddAccount", "w3", "dav", opts("url", "https://h/"), opts("display-name", "a\nb"))
	l.bad(invalidArgs, "Manager.AddAccount", "3w", "dav", opts("url", "u"), none)
	l.bad(invalidArgs, "Manager.AddAccount", strings.Repeat("w", 65), "dav", opts("url", "u"), none)
	l.refused("AddAccount", engine.AlreadyExists, "Manager.AddAccount", "work", "dav", opts("url", "u"), none)
	l.ok("Manager.AddGroup", "g2", []string{"work", "local"}, opts("direction", "from:work", "conflict-policy", "ask", "interval-sec", uint32(60), "enabled", true, "create-missing", []string{"local"}, "if-exists", "fail"))
	l.bad(invalidArgs, "Manager.AddGroup", "g3", []string{"work"}, none)
	l.refused("AddGroup", engine.NotFound, "Manager.AddGroup", "g3", []string{"work", "x"}, none)
	l.ok("Manager.GetParameters", "dav")
	l.bad(notSupported, "Manager.GetParameters", "nosuch")
	l.ok("Manager.Lookup", "work/cal")
	l.bad(notFound, "Manager.Lookup", "x")
	l.ok("Manager.ListConflicts", "", uint32(0), uint32(500), none)
	l.bad(invalidArgs, "Manager.ListConflicts", "", uint32(0), uint32(501), none)
	l.ok("Manager.ListProblems", "", uint32(0), uint32(9), opts("held", true))
	l.refused("Problems", engine.NotFound, "Manager.ListProblems", "x", uint32(0), uint32(9), none)
	l.ok("Manager.Undo", uint32(7), opts("member", "work/cal", "dry-run", true))
	l.refused("Undo", engine.NotFound, "Manager.Undo", uint32(1), none)
	l.ok("Manager.GetHistory", "", uint32(0), uint32(9), none)
	l.bad(invalidArgs, "Manager.GetHistory", "", uint32(0), uint32(9), typo)
	l.ok("Manager.Pause", uint32(60), opts("cancel-running", true, "bind-to-caller", true))
	l.bad(invalidArgs, "Manager.Pause", uint32(60), typo)
	l.ok("Manager.Resume")
	l.bad(denied, "Manager.Resume")
	l.ok("Manager.Inhibit", "backup", opts("what", "schedule"))
	l.bad(invalidArgs, "Manager.Inhibit", strings.Repeat("x", 257), none)
	l.bad(invalidArgs, "Manager.Inhibit", "a\tb", none)
	l.ok("Manager.RegisterAgent", dbus.ObjectPath("/a"), opts("handles", []string{"secrets", "conflicts"}, "store", "keyring"))
	l.bad(invalidArgs, "Manager.RegisterAgent", dbus.ObjectPath("/b"), opts("handles", []string{"cats"}))
	l.bad(invalidArgs, "Manager.RegisterAgent", dbus.ObjectPath("/b"), opts("store", "paper"))
	l.ok("Manager.UnregisterAgent", dbus.ObjectPath("/a"))
	l.bad(notFound, "Manager.UnregisterAgent", dbus.ObjectPath("/a"))
}

func shellTries(l *list) {
	l.ok("Shell.Sync", "")
	l.bad(notFound, "Shell.Sync", "x")
	l.bad(notFound, "Shell.SyncAndWait", "x")
	l.ok("Shell.Wait", "43")
	l.ok("Shell.Wait", string(Root)+"/job/43")
	l.ok("Shell.Wait", "7") // its object is gone
	l.bad(notFound, "Shell.Wait", "99")
	l.bad(invalidArgs, "Shell.Wait", "soon")
	l.ok("Shell.Cancel", "43")
	l.bad(notFound, "Shell.Cancel", "x")
	l.bad(notFound, "Shell.Cancel", "local") // nothing works on it
	for _, kind := range listKinds {
		l.ok("Shell.List", kind)
	}
	l.bad(invalidArgs, "Shell.List", "cats")
	l.ok("Shell.Status", "")
	l.bad(notFound, "Shell.Status", "x")
	for member, what := range map[string]string{"Export": "work/cal", "Import": "work/cal", "Serve": "work/cal", "Proxy": "work"} {
		l.bad(notSupported, "Shell."+member, what)
	}
}

func controlTries(l *list) {
	l.ok("Control.Reload", opts("dry-run", true))
	l.refused("Reload", engine.InvalidConfig, "Control.Reload", none)
	l.ok("Control.GetStatistics", none)
	l.bad(invalidArgs, "Control.GetStatistics", typo)
	l.ok("Control.GetLog", uint32(500), none)
	l.bad(invalidArgs, "Control.GetLog", uint32(501), none)
	l.ok("Control.Quit", opts("finish-jobs", false))
	l.bad(invalidArgs, "Control.Quit", typo)
}

func otherTries(l *list) {
	pluginTries(l)
}

func introducerTries(l *list, fd, socket dbus.UnixFD) {
	l.ok("Introducer.Register", "desk", peerPath, opts("public", true))
	l.ok("Introducer.Register", "label", peerPath, opts("accept-from", []string{"org.example.App"}))
	l.bad(alreadyExists, "Introducer.Register", "desk", peerPath, opts("public", true))
	l.bad(invalidArgs, "Introducer.Register", "No Name", peerPath, none)
	l.bad(invalidArgs, "Introducer.Register", "n", peerPath, typo)
	l.ok("Introducer.Introduce", "desk", socket, opts("title", "x", "size", uint32(7)))
	l.bad(invalidArgs, "Introducer.Introduce", "desk", fd, none)
	l.bad(notFound, "Introducer.Introduce", "nobody", socket, none)
	l.bad(invalidArgs, "Introducer.Introduce", "desk", socket, opts("long", strings.Repeat("x", 4096)))
	l.bad(denied, "Introducer.Introduce", "desk", socket, none)
	l.ok("Introducer.Offer", "desk", "http", "tcp:127.0.0.1:1", opts("path", "/"))
	l.bad(alreadyExists, "Introducer.Offer", "desk", "http", "tcp:127.0.0.1:1", none)
	l.bad(notFound, "Introducer.Offer", "nobody", "http", "tcp:127.0.0.1:1", none)
	l.bad(invalidArgs, "Introducer.Offer", "desk", "rfb", "tcp:192.0.2.1:1", none)
	l.ok("Introducer.ListOffers", none)
	l.bad(invalidArgs, "Introducer.ListOffers", typo)
	l.bad(denied, "Introducer.Take", "desk", "http", none)
	l.ok("Introducer.Take", "desk", "http", opts("keep", true))
	l.bad(notFound, "Introducer.Take", "desk", "rfb", none)
	l.bad(notFound, "Introducer.Take", "nobody", "http", none)
	l.bad(invalidArgs, "Introducer.Take", "desk", "http", typo)
	l.ok("Introducer.Withdraw", "desk", "http")
	l.bad(notFound, "Introducer.Withdraw", "desk", "http")
	l.ok("Introducer.Unregister", "label")
	l.bad(notFound, "Introducer.Unregister", "label")
}

func accountTries(l *list, fd dbus.UnixFD) {
	l.ok("Account.Sync", none)
	l.bad(invalidArgs, "Account.Sync", typo)
	l.ok("Account.Discover", opts("forget-gone", true))
	l.refused("Discover", engine.Disabled, "Account.Discover", none)
	l.ok("Account.Check", opts("parameters", opts("url", "https://other/")))
	l.ok("Account.Check", none)
	l.bad(invalidArgs, "Account.Check", opts("parameters", opts("ulr", "x")))
	l.ok("Account.Update", opts("url", "https://new/"), []string{"via"}, none)
	l.bad(invalidArgs, "Account.Update", none, []string{"password"}, none)
	l.bad(invalidArgs, "Account.Update", none, []string{"url"}, none)
	l.bad(invalidArgs, "Account.Update", opts("via", "unix:/s"), []string{"via"}, none)
	l.refused("UpdateAccount", engine.Managed, "Account.Update", none, []string{}, none)
	l.ok("Account.SetSecret", "password", fd, opts("store", "session"))
	l.bad(invalidArgs, "Account.SetSecret", "url", fd, none)
	l.bad(invalidArgs, "Account.SetSecret", "password", fd, opts("store", "paper"))
	l.ok("Account.ForgetSecret", "password", none)
	l.ok("Account.ForgetSecret", "password", opts("store", "session"))
	l.bad(invalidArgs, "Account.ForgetSecret", "url", none)
	l.ok("Account.CreateCollection", "new", "calendar", opts("display-name", "N", "color", "#112233", "description", "d", "components", []string{"VEVENT"}))
	l.bad(invalidArgs, "Account.CreateCollection", "new", "mailbox", none)
	l.bad(invalidArgs, "Account.CreateCollection", "a/b", "calendar", none)
	l.bad(notSupported, "Account.OpenProxy", none)
	l.bad(notSupported, "Account.ServePlugin", none)
	l.bad(invalidArgs, "Account.ServePlugin", typo)
	l.refused("RemoveAccount", engine.Busy, "Account.Remove", none)
}

func collectionTries(l *list) {
	l.ok("Collection.Sync", none)
	l.bad(invalidArgs, "Collection.Sync", typo)
	l.ok("Collection.Update", opts("display-name", "N", "color", "#aabbcc", "order", int32(4)), []string{"description"}, none)
	l.bad(invalidArgs, "Collection.Update", opts("color", "red"), []string{}, none)
	l.bad(invalidArgs, "Collection.Update", opts("order", "4"), []string{}, none)
	l.bad(invalidArgs, "Collection.Update", none, []string{"size"}, none)
	l.ok("Collection.Repair", opts("dry-run", true))
	l.refused("Repair", engine.ReadOnly, "Collection.Repair", none)
	for _, member := range []string{"Export", "Import", "Serve"} {
		l.bad(notSupported, "Collection."+member, none)
	}
	l.ok("Collection.Explain", "a.ics")
	l.refused("Explain", engine.NotFound, "Collection.Explain", "b.ics")
	l.ok("Collection.ListVersions", "", uint32(0), uint32(9), none)
	l.bad(invalidArgs, "Collection.ListVersions", "", uint32(0), uint32(900), none)
	l.ok("Collection.Restore", "a.ics", uint64(5), opts("as-copy", true))
	l.refused("Restore", engine.NotFound, "Collection.Restore", "a.ics", uint64(6), none)
}

func groupTries(l *list) {
	l.ok("Group.Sync", opts("mode", "two-way"))
	l.bad(invalidArgs, "Group.Sync", typo)
	l.ok("Group.ConfirmDeletions", true, opts("member", "work/cal", "expect", uint32(3)))
	l.refused("ConfirmDeletions", engine.Changed, "Group.ConfirmDeletions", true, none)
	l.ok("Group.AddMember", "other", none)
	l.refused("AddMember", engine.NotFound, "Group.AddMember", "other", none)
	l.ok("Group.RemoveMember", "other", none)
	l.refused("RemoveMember", engine.Managed, "Group.RemoveMember", "other", none)
	l.ok("Group.ResetState", none)
	l.refused("ResetState", engine.Busy, "Group.ResetState", none)
	l.ok("Group.Update", opts("hold-items", uint32(3), "conflict-command", []string{"c"}), []string{"direction"}, none)
	l.bad(invalidArgs, "Group.Update", opts("hold-items", "3"), []string{}, none)
	l.refused("RemoveGroup", engine.Managed, "Group.Remove", none)
}

func jobTries(l *list) {
	l.ok("Job.GetReport")
	l.refused("Report", engine.StorageError, "Job.GetReport")
	l.bad("org.davbus.Sync1.Error.Timeout", "Job.Wait", opts("timeout-usec", uint64(1000)))
	l.ok("Job.Watch", opts("interval-ms", uint32(100)))
	l.bad(invalidArgs, "Job.Watch", opts("interval-ms", uint32(99)))
	l.ok("Job.Unwatch")
	l.bad(notFound, "Job.Unwatch")
	l.ok("Job.OpenEvents", opts("replay", false))
	l.bad(invalidArgs, "Job.OpenEvents", typo)
}

func conflictTries(l *list) {
	l.ok("Conflict.GetVersions", none)
	l.refused("ConflictTexts", engine.NotFound, "Conflict.GetVersions", none)
	l.ok("Conflict.OpenVersion", "base", none)
	l.bad(notFound, "Conflict.OpenVersion", "nobody", none)
	l.ok("Conflict.Resolve", "merged", opts("data", "x", "revision", "r1"))
	l.ok("Conflict.Resolve", "member:work/cal", none)
	l.bad(invalidArgs, "Conflict.Resolve", "dice", none)
	l.bad(invalidArgs, "Conflict.Resolve", "both", opts("data", "x"))
	l.refused("Resolve", engine.Changed, "Conflict.Resolve", "both", none)
}

func lastTries(l *list) {
	l.ok("Job.Cancel", opts("force", true))
	l.ok("Job.Cancel", none) // once more is no error
	l.bad(invalidArgs, "Job.Cancel", typo)
	l.ok("Job.Wait", opts("raise", false))
	l.ok("Shell.SyncAndWait", "work") // its job is done at once: see the test
	l.ok("Group.Remove", none)
	l.ok("Account.Remove", opts("forget-secrets", false))
}

func pluginTries(l *list) {
	l.ok("PluginManager.Register", "p", opts("kinds", []string{"calendar"}, "protocol-version", uint32(1), "display-name", "P"))
	l.ok("PluginManager.RegisterFd", "p", none)
	for _, method := range []string{"PluginManager.Register", "PluginManager.RegisterFd"} {
		l.refused("RegisterPlugin", engine.AlreadyExists, method, "p", none)
		l.bad(invalidArgs, method, "p", typo)
		l.bad(denied, method, "p", none)
	}
	l.bad(notFound, "PluginManager.Unregister", "nothing")
	l.ok("PluginManager.Unregister", "p")
	l.ok("PluginManager.ListActivatable")
	l.refused("ActivatablePlugins", engine.NotSupported, "PluginManager.ListActivatable")
	for method, host := range map[string]string{"Plugin.Activate": "ActivatePlugin", "Plugin.Restart": "RestartPlugin", "Plugin.Disconnect": "DisconnectPlugin"} {
		l.ok(method, none)
		l.bad(invalidArgs, method, typo)
		kind := engine.PluginMissing
		if method == "Plugin.Disconnect" {
			kind = engine.NotFound
		}
		l.refused(host, kind, method, none)
	}
}
