package peer

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Listening tells whose socket listens at a TCP port of this machine. Where
// several may get a connection to it, all must be one user's.
func Listening(at netip.AddrPort) (uid uint32, err error) {
	found := false
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		uids, err := listeners(table, at)
		if err != nil {
			return 0, fmt.Errorf("cannot tell who listens at %s: %w", at, err)
		}
		for _, u := range uids {
			if found && u != uid {
				return 0, fmt.Errorf("cannot tell who listens at %s: users %d and %d both do", at, uid, u)
			}
			uid, found = u, true
		}
	}
	if !found {
		return 0, fmt.Errorf("%s: %w", at, ErrNobody)
	}
	return uid, nil
}

// listeners reads one table of the kernel: number, local address, remote
// address, state, three fields, uid.
func listeners(table string, at netip.AddrPort) (uids []uint32, err error) {
	f, err := os.Open(table)
	if os.IsNotExist(err) {
		return nil, nil // a kernel without IPv6
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const listening = "0A"
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		field := strings.Fields(lines.Text())
		if len(field) < 8 || field[3] != listening {
			continue
		}
		local, err := listenAddr(field[1])
		if err != nil {
			return nil, err
		}
		if local.Port() != at.Port() || !local.Addr().IsUnspecified() && local.Addr() != at.Addr() {
			continue
		}
		uid, err := strconv.ParseUint(field[7], 10, 32)
		if err != nil {
			return nil, err
		}
		uids = append(uids, uint32(uid))
	}
	return uids, lines.Err()
}

// listenAddr reads an address as the kernel writes it: words of 32 bits in the
// machine's order, in hexadecimal.
func listenAddr(s string) (netip.AddrPort, error) {
	words, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(words)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		for word := range slices.Chunk(raw, 4) {
			slices.Reverse(word)
		}
	}
	addr, ok := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil || !ok {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", s)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), nil
}
