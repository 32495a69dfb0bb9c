package peer

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestServerIsKnownBeforeAByteIsSent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cred, err := Server(c)
	if err != nil {
		t.Fatal(err)
	}
	if cred.UID != uint32(os.Geteuid()) || cred.PID != os.Getpid() && cred.PID != -1 {
		t.Errorf("the kernel says %+v, we are uid %d pid %d", cred, os.Geteuid(), os.Getpid())
	}
}

func TestOnlyOurselvesAndRootMayServe(t *testing.T) {
	for _, c := range []struct {
		self, uid uint32
		ok        bool
	}{
		{1000, 1000, true}, {1000, 0, true}, {0, 0, true},
		{1000, 1001, false}, {0, 1000, false}, {1000, Unknown, false}, {Unknown, Unknown, false},
	} {
		err := allowServer(Cred{UID: c.uid}, c.self)
		if (err == nil) != c.ok {
			t.Errorf("user %d, server of uid %d: %v", c.self, c.uid, err)
		}
		if r, ok := errors.AsType[*Refusal](err); !c.ok && (!ok || r.UID != c.uid || !r.PeerRefused()) {
			t.Errorf("user %d, server of uid %d: the refusal is %#v", c.self, c.uid, err)
		}
	}
}
