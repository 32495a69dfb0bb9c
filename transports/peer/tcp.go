package peer

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// ErrNoOwner says that a connection of the loopback belongs to nobody that the
// kernel could name: its other end is closed already, or is not on this machine.
var ErrNoOwner = errors.New("the kernel does not tell who owns the other end of the connection")

// OfTCP asks the kernel whose socket the other end of a connection over the
// loopback is. PID is not told.
func OfTCP(c *net.TCPConn) (Cred, error) {
	ours, okOurs := c.LocalAddr().(*net.TCPAddr)
	theirs, okTheirs := c.RemoteAddr().(*net.TCPAddr)
	if !okOurs || !okTheirs || !theirs.IP.IsLoopback() {
		return Cred{}, ErrNoOwner
	}
	uid, err := ownerOf(theirs.AddrPort(), ours.AddrPort())
	return Cred{PID: -1, UID: uid}, err
}

// findOwner reads a table of sockets as the kernel writes it, and finds the one
// that is at local and whose peer is remote.
func findOwner(table io.Reader, local, remote netip.AddrPort) (uint32, error) {
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		// sl local_address rem_address st queues timer retrnsmt uid timeout inode …
		f := strings.Fields(lines.Text())
		if len(f) < 10 {
			continue
		}
		from, err1 := tableAddr(f[1])
		to, err2 := tableAddr(f[2])
		if err1 != nil || err2 != nil || !same(from, local) || !same(to, remote) {
			continue
		}
		uid, err := strconv.ParseUint(f[7], 10, 32)
		if err != nil {
			return 0, fmt.Errorf("cannot read the kernel's table of sockets: %w", err)
		}
		if f[9] == "0" {
			return 0, ErrNoOwner // nobody's any more: the uid says nothing
		}
		return uint32(uid), nil
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, ErrNoOwner
}

func same(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && a.Addr().Unmap().WithZone("") == b.Addr().Unmap().WithZone("")
}

// tableAddr reads "0100007F:1F90": groups of four bytes, each in this machine's
// own order, and a port.
func tableAddr(s string) (netip.AddrPort, error) {
	address, port, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(address)
	number, err2 := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || err2 != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, errors.New("not an address")
	}
	for i := 0; i < len(raw); i += 4 {
		if littleEndian {
			raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
		}
	}
	a, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.AddrPort{}, errors.New("not an address")
	}
	return netip.AddrPortFrom(a, uint16(number)), nil
}
