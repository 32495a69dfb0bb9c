//go:build real && further && linux

package route

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"davbus.org/davbus/transports/peer"
)

// other is a second user: no account of that name needs to exist.
const other = 23457

// A stranger's socket is told nothing, by whatever route it is reached: the name
// of one without a file is anybody's to take. Run as root, who alone can become
// somebody else.
func TestFurtherV12AnotherUsersServerIsRefusedBeforeAnythingIsSent(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test becomes another user: run it as root")
	}
	dir, err := os.MkdirTemp("/tmp", "davbus-route-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path, heard := filepath.Join(dir, "s"), filepath.Join(dir, "heard")
	abstract := fmt.Sprintf("davbus-test-%d", os.Getpid())
	for _, at := range []string{"UNIX-LISTEN:" + path + ",fork,mode=777", "ABSTRACT-LISTEN:" + abstract + ",fork"} {
		cmd := exec.Command("socat", "-u", at, "OPEN:"+heard+",creat,append")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: other, Gid: other}, Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
	}
	conns := map[string]*net.UnixConn{}
	for _, at := range []string{path, "@" + abstract} {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(30 * time.Second); conns[at] == nil; <-tick.C {
			if conns[at], err = net.DialUnix("unix", nil, &net.UnixAddr{Name: at, Net: "unix"}); err != nil {
				conns[at] = nil
			}
			if time.Now().After(end) {
				t.Fatalf("socat does not listen: %v", err)
			}
		}
		defer conns[at].Close()
	}
	var handed Handed
	defer handed.Close()
	f, err := conns[path].File()
	if err != nil {
		t.Fatal(err)
	}
	handed.Add("server", f)
	for via, d := range map[string]*Dialer{
		"unix": dialer(t, "unix:"+path, Env{}), "abstract": dialer(t, "unix:@"+abstract, Env{}),
		"fd": dialer(t, "fd:server", Env{Handed: &handed}), "exec": handing(t, "socket", path),
	} {
		c, err := d.Dial(t.Context(), "")
		if err == nil {
			c.Write([]byte("password"))
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		if r, ok := errors.AsType[*peer.Refusal](err); !ok || r.UID != other {
			t.Errorf("%s: %v", via, err)
		}
	}
	if text, err := os.ReadFile(heard); err == nil && len(text) > 0 {
		t.Errorf("it was told %q", text)
	}
}
