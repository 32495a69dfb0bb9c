package callers

import "cmp"

// Process tells who a process is that connected another way than over the bus,
// by its number as the kernel gave it: its application or program, and whether
// it is in a sandbox or cannot be proved to be outside one.
func Process(pid int) (initiator string, sandboxed bool) {
	found := inspect("/proc", pid)
	return cmp.Or(found.app, found.program), found.sandboxed
}

// Application is the sandboxed application that a process belongs to; "" if none
// is known.
func Application(pid int) string { return inspect("/proc", pid).app }
