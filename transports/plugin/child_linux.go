package plugin

import (
	"fmt"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// confine puts the child into a group of its own that ends with us, and keeps
// from it what we ourselves inherited without the mark that closes it.
func confine(cmd *exec.Cmd) {
	unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func limit(pid int, l Limits) error {
	if l.Memory == 0 {
		l.Memory = 4 << 30
	}
	if l.Files == 0 {
		l.Files = 256
	}
	for what, most := range map[int]uint64{unix.RLIMIT_AS: l.Memory, unix.RLIMIT_NOFILE: l.Files, unix.RLIMIT_NPROC: l.Processes, unix.RLIMIT_CORE: 0} {
		if most == 0 && what != unix.RLIMIT_CORE {
			continue
		}
		err := unix.Prlimit(pid, what, &unix.Rlimit{Cur: most, Max: most}, nil)
		if err != nil && err != unix.ESRCH { // it may have ended already
			return fmt.Errorf("cannot limit it: %w", err)
		}
	}
	return nil
}

func killGroup(pid int) { syscall.Kill(-pid, syscall.SIGKILL) }
