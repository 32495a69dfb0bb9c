//go:build !linux

package private

import (
	"io"
	"net"
	"syscall"

	"davbus.org/davbus/transports/peer"
)

// Other systems tell the sender of a byte in other ways, or not at all; the
// listener's own check of the peer stands, and what requires the byte refuses.
func wantCredentials(int) error { return nil }

const credentialSpace = 0

func credentialOf(*syscall.SocketControlMessage) *peer.Cred { return nil }

func readByte(c *net.UnixConn) (byte, *peer.Cred, error) {
	var buf [1]byte
	n, err := c.Read(buf[:])
	if err == nil && n == 0 {
		err = io.EOF
	}
	return buf[0], nil, err
}
