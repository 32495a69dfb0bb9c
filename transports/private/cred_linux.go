package private

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"davbus.org/davbus/transports/peer"
)

// wantCredentials must be called before the peer writes: bytes written earlier
// carry no credentials. Accepted sockets inherit it from the listening one.
func wantCredentials(fd int) error {
	return os.NewSyscallError("setsockopt SO_PASSCRED", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1))
}

// credentialSpace is what the kernel's word on a sender takes beside the bytes.
var credentialSpace = unix.CmsgSpace(unix.SizeofUcred)

// credentialOf is who sent something; nil if the message is not about that.
func credentialOf(m *syscall.SocketControlMessage) *peer.Cred {
	u, err := syscall.ParseUnixCredentials(m)
	if err != nil {
		return nil
	}
	return &peer.Cred{PID: int(u.Pid), UID: u.Uid, GID: u.Gid}
}

// readByte reads one byte and who sent it. It never reads further: a second byte
// may carry a descriptor, or belong to the stream. Descriptors that come with
// the first one are closed.
func readByte(c *net.UnixConn) (byte, *peer.Cred, error) {
	var buf [1]byte
	oob := make([]byte, credentialSpace+unix.CmsgSpace(4*253))
	n, oobn, _, _, err := c.ReadMsgUnix(buf[:], oob)
	if errors.Is(err, io.EOF) {
		return 0, nil, io.EOF // without more around it, as every reader gives it
	}
	if err != nil {
		return 0, nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return 0, nil, err
	}
	var cred *peer.Cred
	strays := false
	for _, m := range messages {
		if u := credentialOf(&m); u != nil {
			cred = u
		}
		if fds, err := syscall.ParseUnixRights(&m); err == nil {
			for _, fd := range fds {
				syscall.Close(fd)
			}
			strays = len(fds) > 0
		}
	}
	if strays {
		return 0, nil, errors.New("a descriptor came where none is expected")
	}
	if n == 0 {
		return 0, nil, io.EOF
	}
	return buf[0], cred, nil
}
