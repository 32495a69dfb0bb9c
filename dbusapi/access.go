package dbusapi

import (
	"slices"
	"time"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

// Callers tells who is behind a unique name of the bus.
type Callers interface {
	// Identify tells who it is. What cannot be told for certain counts as
	// sandboxed. It may wait for the bus.
	Identify(name string) Caller
	// Gone calls left, once and on a goroutine of its own, when the owner of the
	// name has left the bus. If it has already, Gone does that or fails. stop
	// ends it; it may be called at any time, more than once, and does not wait.
	Gone(name string, left func()) (stop func(), err error)
}

// A class says who may call a method. A sandboxed program that was given leave
// to talk to us may read, and start and stop its own syncs; the rest is for
// programs outside a sandbox.
type class uint8

const (
	control class = iota // changes what davbus is or does; everything not in the table
	content              // reads or writes items
	run                  // starts and stops work
	read                 // reads states, never items
)

// classes are the methods that are not of class control. Of plain names each
// holds on every interface of ours.
var classes = map[string]class{
	"org.freedesktop.DBus.Introspectable.Introspect":       read,
	"org.freedesktop.DBus.Peer.Ping":                       read,
	"org.freedesktop.DBus.Peer.GetMachineId":               read,
	"org.freedesktop.DBus.ObjectManager.GetManagedObjects": read,
	"org.freedesktop.DBus.Properties.Get":                  read,
	"org.freedesktop.DBus.Properties.GetAll":               read,

	ifManager + ".GetParameters":         read,
	ifManager + ".Lookup":                read,
	ifManager + ".ListConflicts":         read,
	ifManager + ".ListProblems":          read,
	ifManager + ".GetHistory":            read,
	ifShell + ".List":                    read,
	ifShell + ".Status":                  read,
	ifControl + ".GetStatistics":         read,
	ifPluginManager + ".ListActivatable": read,
	ifIntroducer + ".ListOffers":         read,
	ifJob + ".GetReport":                 read,
	ifCollection + ".ListVersions":       read,

	ifManager + ".Sync":      run,
	ifShell + ".Sync":        run,
	ifShell + ".SyncAndWait": run,
	ifShell + ".Wait":        run,
	ifShell + ".Cancel":      run, // of its own jobs: see mayCancel
	ifAccount + ".Sync":      run,
	ifAccount + ".Discover":  run,
	ifCollection + ".Sync":   run,
	ifGroup + ".Sync":        run,
	ifJob + ".Wait":          run,
	ifJob + ".Watch":         run,
	ifJob + ".Unwatch":       run,
	ifJob + ".Cancel":        run,

	// To whom and what is the owner's to decide: see "accept-from" of Register.
	ifIntroducer + ".Introduce": run,
	ifIntroducer + ".Take":      run,

	ifConflict + ".GetVersions": content,
	ifConflict + ".OpenVersion": content,
	ifConflict + ".Resolve":     content,
	ifCollection + ".Export":    content,
	ifCollection + ".Import":    content,
	ifCollection + ".Explain":   content,
	ifAccount + ".OpenProxy":    content,
	ifJob + ".OpenEvents":       content,
	ifShell + ".Export":         content,
	ifShell + ".Import":         content,
	ifShell + ".Proxy":          content,
	ifStream + ".Listen":        content, // of its own streams
	ifStream + ".OpenFd":        content,
	ifStream + ".Close":         content,
}

// allow is asked before every call.
func (f *Face) allow(c tree.Call, iface, member string) error {
	f.lastCall.Store(time.Now().UnixNano())
	if classes[iface+"."+member] >= run {
		return nil
	}
	who := f.callers.Identify(c.Sender())
	if classes[iface+"."+member] == content && who.App != "" && f.MayRead != nil && f.MayRead(who.App) {
		return nil
	}
	if who.Sandboxed {
		return engine.Fail(engine.Denied, "call "+member, "", "the caller is in a sandbox, or is not proved to be outside one; such programs may read, and start syncs, but nothing else")
	}
	return nil
}

// mayCancel lets a sandboxed caller stop its own jobs only. Everybody else may
// stop all of them: a panel must be able to stop what a timer began.
func mayCancel(who Caller, j *engine.JobState) error {
	if !who.Sandboxed || who.Initiator != "" && who.Initiator == j.Initiator {
		return nil
	}
	return engine.Fail(engine.Denied, "cancel the job", string(jobPath(j.ID)), "it was started by somebody else, and the caller is in a sandbox or not proved to be outside one")
}

// hasID checks an id that a caller wants to give: a letter, then letters,
// digits and _ - . up to 64 bytes.
func checkID(op, id string) error {
	letter := func(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
	ok := len(id) <= 64 && id != "" && letter(id[0])
	for i := range len(id) {
		ok = ok && (isAlnum(id[i]) || slices.Contains([]byte("_-."), id[i]))
	}
	if !ok {
		return invalid(op, "%q is no id: it must be a letter, then up to 63 of A-Z a-z 0-9 _ - .", id)
	}
	return nil
}
