//go:build real && further && linux

package private

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"davbus.org/davbus/transports/peer"
)

// other is a second user: no account of that name needs to exist.
const other = 23456

// The other user is turned away on the word of the kernel, before a byte of his
// is read. Run as root, who alone can become somebody else.
func TestFurtherAnotherUserIsRefusedBeforeParsing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test becomes another user: run it as root")
	}
	base, err := os.MkdirTemp("/tmp", "davbus-private-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	os.Chmod(base, 0o755)
	d, err := OpenDir(filepath.Join(base, "run"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	refused := make(chan peer.Cred, 10)
	l, err := d.Listen("s", Options{Refused: func(c peer.Cred, _ error) { refused <- c }})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{}, 10)
	serve(t, l, func(context.Context, *Conn) { served <- struct{}{} })

	if out, err := connectAs(t, other, l.Path()); err == nil || !strings.Contains(out, "permission denied") {
		t.Errorf("folder and mode let uid %d in: %v %s", other, err, out)
	}
	// Even where folder and mode would let him in.
	os.Chmod(d.Path(), 0o777)
	os.Chmod(l.Path(), 0o777)
	if out, err := connectAs(t, other, l.Path()); err == nil {
		t.Errorf("uid %d was answered: %s", other, out)
	}
	if c := <-refused; c.UID != other {
		t.Errorf("refused %+v", c)
	}
	if len(served) > 0 {
		t.Error("the handler saw a client of another user")
	}
}

func TestFurtherAnotherUsersSocketIsNotTrusted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test becomes another user: run it as root")
	}
	base, err := os.MkdirTemp("/tmp", "davbus-private-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	os.Chmod(base, 0o777)
	path := filepath.Join(base, "s")
	cmd := helper(t, other, "listen", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	fmt.Fscanln(out)
	if c, err := Dial(path); err == nil || !strings.Contains(err.Error(), fmt.Sprint(other)) {
		t.Errorf("trusted %v: %v", c, err)
	}
}

func connectAs(t *testing.T, uid uint32, path string) (string, error) {
	out, err := helper(t, uid, "connect", path).CombinedOutput()
	return string(out), err
}

func helper(t *testing.T, uid uint32, args ...string) *exec.Cmd {
	t.Helper()
	exe := filepath.Join("/tmp", fmt.Sprintf("davbus-private-helper-%d", os.Getpid()))
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, self, 0o755); err != nil {
		t.Fatal(err)
	}
	os.Chmod(exe, 0o755)
	t.Cleanup(func() { os.Remove(exe) })
	cmd := exec.Command(exe, "-test.run=^$")
	cmd.Env = []string{"DAVBUS_TEST_HELPER=" + strings.Join(args, " ")}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return cmd
}
