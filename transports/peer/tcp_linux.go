package peer

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
)

// littleEndian is this machine's order of bytes.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// ownerOf looks in both tables: a socket of IPv6 may talk IPv4.
func ownerOf(local, remote netip.AddrPort) (uint32, error) {
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return 0, err
		}
		uid, err := findOwner(f, local, remote)
		f.Close()
		if !errors.Is(err, ErrNoOwner) {
			return uid, err
		}
	}
	return 0, ErrNoOwner
}
