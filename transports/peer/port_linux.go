package peer

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
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
		local, err := tableAddr(field[1])
		if err != nil {
			return nil, err
		}
		if local.Port() != at.Port() || !local.Addr().IsUnspecified() && !same(local, at) {
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
