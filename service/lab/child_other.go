//go:build !linux

package lab

import "syscall"

// childAttr has no way here to let a child die with a test that is ended by force.
func childAttr() *syscall.SysProcAttr { return nil }
