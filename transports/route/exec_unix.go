//go:build unix

package route

import (
	"errors"
	"os"
	"syscall"
)

// rightsSpace is room for more descriptors than are expected, so that too many
// are seen and closed.
var rightsSpace = syscall.CmsgSpace(4 * 8)

// filesOf takes the descriptors out of what came beside the bytes. They are
// closed in programs that are started later.
func filesOf(rights []byte) (files []*os.File, err error) {
	messages, err := syscall.ParseSocketControlMessage(rights)
	for _, m := range messages {
		fds, bad := syscall.ParseUnixRights(&m)
		err = errors.Join(err, bad)
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "handed back"))
		}
	}
	return files, err
}

func brokenPipe(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

func socketPair() (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	return os.NewFile(uintptr(fds[0]), "route"), os.NewFile(uintptr(fds[1]), "program"), nil
}

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// endGroup ends a program and what it started, which is its process group.
func endGroup(p *os.Process, force bool) {
	sig := syscall.SIGTERM
	if force {
		sig = syscall.SIGKILL
	}
	_ = syscall.Kill(-p.Pid, sig) // it may have ended by itself
}
