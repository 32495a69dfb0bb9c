//go:build real && further

package service

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

// Two laptops without a server, joined by a real ssh and sshd. The ssh is killed
// while one brings many items to the other: both are in step afterwards, and
// nothing is lost or doubled. A way that fails again and again is left alone, until
// a person runs "davbus plugin restart".
func TestFurtherTwoLaptopsStayInStepOverSSHThoughItIsKilled(t *testing.T) {
	programs := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", programs, "./davbusd", "./davbus").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d := home(t)
	other := newMachine(t, programs)
	there := filepath.Join(other.Dir, "pim", "cal")
	d.must(os.MkdirAll(there, 0o700))
	d.must(os.WriteFile(filepath.Join(there, "one.ics"), []byte(vevent("one", "One")), 0o600))
	other.davbus("account", "add", "local", "vdir", "path="+filepath.Join(other.Dir, "pim"))
	config, login := lab.SSH(t, "laptop", other.env[len(other.env)-1])
	pid, down := filepath.Join(d.Dir, "pid"), filepath.Join(d.Dir, "down")
	d.write("reach", fmt.Sprintf("#!/bin/sh\n[ -e %s ] && exit 1\necho $$ >%s.new && mv %s.new %s\nexec ssh -F %s %s@laptop %s plugin serve local\n",
		down, pid, pid, pid, config, login, other.cli))
	d.must(os.Chmod(filepath.Join(d.Dir, "reach"), 0o700))
	d.describePlugin("davbus", "name: davbus of another machine\n")
	d.start()
	d.pair("plugin:davbus", "via", "exec:"+filepath.Join(d.Dir, "reach"))
	d.sync("both", "success")
	if got := d.files("here/cal"); got != "One" {
		t.Fatalf("here: %s", got)
	}

	const many = 300
	count := func() int {
		names, err := filepath.Glob(filepath.Join(there, "*.ics"))
		d.must(err)
		return len(names)
	}
	for i := range many {
		d.write(fmt.Sprintf("here/cal/n%d.ics", i), vevent(fmt.Sprint("n", i), "Many"))
	}
	d.must(os.WriteFile(filepath.Join(there, "one.ics"), []byte(vevent("one", "One, edited there")), 0o600))
	d.until("some of the items arrive", func() bool { return count() > 20 })
	ssh := d.processIn(pid)
	d.must(syscall.Kill(ssh, syscall.SIGKILL))
	if n := count(); n > many {
		t.Fatalf("ssh was killed too late: %d items are there already", n)
	}
	d.until("both are in step", func() bool {
		job, err := d.c.Sync(t.Context(), "both", client.SyncOptions{})
		d.must(err)
		result, report, err := d.c.Wait(t.Context(), job)
		d.must(err)
		return result == "success" && report.Int("added")+report.Int("modified")+report.Int("removed") == 0
	})
	if n := count(); n != many+1 || len(strings.Split(d.files("here/cal"), "Many")) != many+1 {
		t.Errorf("there: %d items, here: %s", n, d.files("here/cal"))
	}
	if text, err := os.ReadFile(filepath.Join(d.Dir, "here", "cal", "one.ics")); err != nil || !strings.Contains(string(text), "One, edited there") {
		t.Errorf("here: %s, %v", text, err)
	}
	if d.processIn(pid) == ssh {
		t.Error("no ssh was started anew")
	}

	d.must(os.WriteFile(down, nil, 0o600))
	d.must(syscall.Kill(d.processIn(pid), syscall.SIGKILL))
	d.until("it is given up", func() bool { return strings.Contains(d.fails(), "davbus plugin restart") })
	d.must(os.Remove(down))
	if why := d.fails(); !strings.Contains(why, "davbus plugin restart") {
		t.Errorf("it is well again, and nobody asked for a restart: %q", why)
	}
	if out, err := exec.CommandContext(t.Context(), other.cli, "plugin", "restart", "davbus").CombinedOutput(); err != nil {
		t.Errorf("davbus plugin restart: %v\n%s", err, out)
	}
	d.sync("both", "success")
}

// processIn gives the process whose number a file holds.
func (d *rig) processIn(path string) int {
	d.Helper()
	text, err := os.ReadFile(path)
	d.must(err)
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	d.must(err)
	return n
}

// fails syncs, and tells why that failed.
func (d *rig) fails() string {
	d.Helper()
	job, err := d.c.Sync(d.Context(), "both", client.SyncOptions{})
	d.must(err)
	_, report, err := d.c.Wait(d.Context(), job)
	d.must(err)
	return report.Str("error-message")
}
