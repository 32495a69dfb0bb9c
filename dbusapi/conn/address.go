package conn

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// SessionAddress finds the session bus of this login the way every program
// does, except that it never starts one.
func SessionAddress() (string, error) {
	if a := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); a != "" && !strings.HasPrefix(a, "autolaunch:") {
		return a, nil
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		p := filepath.Join(dir, "bus")
		if info, err := os.Stat(p); err == nil && info.Mode().Type() == os.ModeSocket {
			return "unix:path=" + dbus.EscapeBusAddressValue(p), nil
		}
	}
	return "", errors.New("there is no session bus: neither DBUS_SESSION_BUS_ADDRESS nor a bus in XDG_RUNTIME_DIR; start a session, or use dbus-run-session")
}

// Reach connects to a bus and says nothing yet: for those who carry bytes.
func Reach(ctx context.Context, addresses string) (*net.UnixConn, error) { return dial(ctx, addresses) }

// dial connects to the first of the addresses that answers.
func dial(ctx context.Context, addresses string) (*net.UnixConn, error) {
	var failed []error
	for one := range strings.SplitSeq(addresses, ";") {
		if one == "" {
			continue
		}
		name, err := socketName(one)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", name)
		if err == nil {
			return c.(*net.UnixConn), nil
		}
		failed = append(failed, err)
	}
	if failed == nil {
		return nil, errors.New("the bus address is empty")
	}
	return nil, fmt.Errorf("cannot reach the bus: %w", errors.Join(failed...))
}

// socketName turns one address into the name of a socket as Go writes it.
func socketName(address string) (string, error) {
	transport, rest, ok := strings.Cut(address, ":")
	if !ok || transport != "unix" {
		return "", fmt.Errorf("bus address %q: only unix: addresses are supported", address)
	}
	for pair := range strings.SplitSeq(rest, ",") {
		key, value, _ := strings.Cut(pair, "=")
		value, err := dbus.UnescapeBusAddressValue(value)
		if err != nil {
			return "", fmt.Errorf("bus address %q: %w", address, err)
		}
		switch {
		case key == "path" && value != "":
			return value, nil
		case key == "abstract" && value != "":
			return "@" + value, nil
		case key == "runtime" && value == "yes":
			dir := os.Getenv("XDG_RUNTIME_DIR")
			if dir == "" {
				return "", fmt.Errorf("bus address %q: XDG_RUNTIME_DIR is not set", address)
			}
			return filepath.Join(dir, "bus"), nil
		case key == "dir" || key == "tmpdir":
			return "", fmt.Errorf("bus address %q names a folder to listen in, not a bus to connect to", address)
		}
	}
	return "", fmt.Errorf("bus address %q names no socket", address)
}

// maxLine bounds a line of the login; real ones are under 100 bytes.
const maxLine = 4096

// login proves who we are and asks for the passing of descriptors. The bus
// speaks only when spoken to until after Hello, so nothing is read too far.
func login(ctx context.Context, c *net.UnixConn) (files bool, err error) {
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() {
			err = context.Cause(ctx)
		}
	}()
	ask := func(command string) (string, error) {
		if _, err := io.WriteString(c, command+"\r\n"); err != nil {
			return "", err
		}
		return readLine(c)
	}
	uid := hex.EncodeToString([]byte(strconv.Itoa(os.Geteuid())))
	answer, err := ask("\x00AUTH EXTERNAL " + uid)
	if err != nil {
		return false, err
	}
	if !strings.HasPrefix(answer, "OK ") {
		return false, fmt.Errorf("the bus refused user %d: it said %q", os.Geteuid(), answer)
	}
	if answer, err = ask("NEGOTIATE_UNIX_FD"); err != nil {
		return false, err
	}
	_, err = io.WriteString(c, "BEGIN\r\n")
	return answer == "AGREE_UNIX_FD", err
}

func readLine(c io.Reader) (string, error) {
	var line []byte
	one := make([]byte, 1)
	for len(line) < maxLine {
		if _, err := io.ReadFull(c, one); err != nil {
			return "", err
		}
		if one[0] == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		line = append(line, one[0])
	}
	return "", errors.New("the bus sent a line without end")
}
