//go:build !linux

package lab

import "syscall"

// childAttr makes a child the first of a process group. It has no way here to let
// it die with a test that is ended by force.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
