package lab

import "syscall"

// childAttr lets a child die with a test that is ended by force, and be the first
// of a process group.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
