//go:build freebsd || darwin || dragonfly

package peer

import (
	"os"

	"golang.org/x/sys/unix"
)

func credOf(fd int) (Cred, error) {
	x, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return Cred{}, os.NewSyscallError("getsockopt LOCAL_PEERCRED", err)
	}
	return Cred{PID: -1, UID: x.Uid, GID: x.Groups[0]}, nil
}
