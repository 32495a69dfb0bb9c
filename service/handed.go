package service

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"davbus.org/davbus/transports/route"
)

// handed takes what whoever started davbusd handed over, as systemd does: the
// listening socket "control" for ourselves, and every other name for the routes
// (fd:NAME). No program that we start gets any of it, nor is told that there is
// something.
func handed(self int, getenv func(string) string, unset func(string) error, open func(fd int, name string) *os.File) (control *os.File, rest *route.Handed) {
	rest = &route.Handed{}
	pid, count, names := getenv("LISTEN_PID"), getenv("LISTEN_FDS"), getenv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		_ = unset(name)
	}
	n, err := strconv.Atoi(count)
	if pid != strconv.Itoa(self) || err != nil {
		return nil, rest
	}
	const first = 3
	all := strings.Split(names, ":")
	for i := range n {
		name := "unknown" // as sd_listen_fds_with_names calls it
		if i < len(all) && all[i] != "" {
			name = all[i]
		}
		switch f := open(first+i, name); {
		case name == "control" && control == nil:
			control = f
		default:
			rest.Add(name, f)
		}
	}
	return control, rest
}

// inherit makes a file of a descriptor that was open when the program began.
func inherit(fd int, name string) *os.File {
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name)
}
