//go:build !linux

package peer

import (
	"errors"
	"net/netip"
)

// Listening would tell whose socket listens at a TCP port.
func Listening(netip.AddrPort) (uint32, error) {
	return 0, errors.New("this system does not tell who listens at a TCP port; offer a Unix socket")
}
