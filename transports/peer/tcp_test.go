package peer

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// told says whether this system tells who is at the other end.
const told = runtime.GOOS == "linux"

func TestOwnerOfALoopbackConnectionByBothFamilies(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		l, err := net.Listen("tcp", host+":0")
		if err != nil && host != "127.0.0.1" {
			continue // a machine without IPv6
		}
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		theirs, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		ours, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		if c, err := OfTCP(ours.(*net.TCPConn)); told && (err != nil || c.UID != uint32(os.Geteuid())) {
			t.Errorf("%s: %+v, %v", host, c, err)
		} else if !told && err == nil {
			t.Errorf("%s: %+v on a system that does not tell", host, c)
		}
		err = nil
		// Nobody's any more: to be told uid 0 would let anybody in where root runs us.
		theirs.Close()
		for deadline := time.Now().Add(30 * time.Second); err == nil && time.Now().Before(deadline); {
			_, err = OfTCP(ours.(*net.TCPConn))
		}
		if !errors.Is(err, ErrNoOwner) {
			t.Error(err)
		}
	}
}

const tableHead = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func TestTableOfSocketsIsReadWordByWord(t *testing.T) {
	if !littleEndian {
		return // the table below is of such a machine
	}
	local, remote := netip.MustParseAddrPort("127.0.0.1:43210"), netip.MustParseAddrPort("127.0.0.1:80")
	for _, x := range []struct {
		line string
		uid  uint32
		ok   bool
	}{
		{" 0: 0100007F:A8CA 0100007F:0050 01 00000000:00000000 00:00000000 00000000  1000 0 4242 1 0 20 4 30 10 -1", 1000, true},
		{" 0: 0000000000000000FFFF00000100007F:A8CA 0000000000000000FFFF00000100007F:0050 01 0:0 0:0 0  1001 0 4242 1", 1001, true},
		{" 0: 0100007F:A8CA 0100007F:0050 06 00000000:00000000 00:00000000 00000000  0 0 0 1", 0, false},
		{" 0: 0100007F:0050 0100007F:A8CA 01 00000000:00000000 00:00000000 00000000  1000 0 4242 1", 0, false},
		{" 0: 0100007F:A8CA 0100007F:0051 01 00000000:00000000 00:00000000 00000000  1000 0 4242 1", 0, false},
		{" 0: 0100007F:A8CA 0100007F:0050 01 00000000:00000000 00:00000000 00000000  -1 0 4242 1", 0, false},
		{" 0: 0100007F 0100007F:0050 01", 0, false},
	} {
		uid, err := findOwner(strings.NewReader(tableHead+x.line+"\n"), local, remote)
		if uid != x.uid || (err == nil) != x.ok {
			t.Errorf("%s: %d, %v", x.line, uid, err)
		}
	}
}

func FuzzTableOfSockets(f *testing.F) {
	f.Add(" 0: 0100007F:A8CA 0100007F:0050 01 00000000:00000000 00:00000000 00000000  1000 0 4242 1\n")
	local, remote := netip.MustParseAddrPort("127.0.0.1:43210"), netip.MustParseAddrPort("127.0.0.1:80")
	f.Fuzz(func(t *testing.T, table string) {
		if _, err := findOwner(strings.NewReader(table), local, remote); err == nil && !strings.Contains(strings.ToUpper(table), "A8CA") {
			t.Errorf("found in %q", table)
		}
	})
}
