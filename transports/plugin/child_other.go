//go:build !linux

package plugin

import (
	"os/exec"
	"syscall"
)

// confine puts the child into a group of its own.
func confine(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// limit does nothing: only Linux limits another process.
func limit(int, Limits) error { return nil }

func killGroup(pid int) { syscall.Kill(-pid, syscall.SIGKILL) }
