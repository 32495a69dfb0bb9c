//go:build real

package service

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/dbusapi/client"
)

const examples = "../data/examples/"

// exampleFollows demands of an example that it shows the tree, then a sync that
// it starts, and ends well with it.
func exampleFollows(t *testing.T, argv []string, want ...string) {
	t.Helper()
	d := conflicted(t)
	out, err := d.says(append(argv, "sync", "home")...)
	if err != nil {
		t.Errorf("%v: %v\n%s", argv, err, out)
	}
	rest := out
	for _, line := range want {
		_, after, ok := strings.Cut("\n"+rest, "\n"+line)
		if !ok {
			t.Errorf("%v does not say %q in its place:\n%s", argv, line, out)
		}
		rest = after
	}
	if out, err = d.says(append(argv, "sync", "nosuch")...); err == nil {
		t.Errorf("%v syncs what is not there:\n%s", argv, out)
	}
}

// says runs a program to its end and gives all that it says.
func (d *rig) says(argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(d.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second // what a script started may hold its output open
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// conflicted is a daemon with two folders that hold one item each their own way.
func conflicted(t *testing.T) *rig {
	t.Helper()
	d := home(t)
	d.write("a/cal/one.ics", vevent("one", "First"))
	d.write("a/cal/two.ics", vevent("two", "Mine"))
	d.write("b/cal/two.ics", vevent("two", "Theirs"))
	d.start()
	d.account("a", "vdir", "path", filepath.Join(d.Dir, "a"))
	d.account("b", "vdir", "path", filepath.Join(d.Dir, "b"))
	d.group("home", []string{"a", "b"}, client.Options{"create-missing": []string{"b"}})
	return d
}

// objectLines are what the followers with an object manager say.
var objectLines = []string{"account a: idle", "account b: idle", "group home: ", "job 1: ", "job 1: success"}

func TestTheExampleInAShellFollowsASync(t *testing.T) {
	exampleFollows(t, []string{"sh", examples + "follow.sh"}, "a: idle", "b: idle", "home: ", "job 1: sync", "job 1: success")
}

func TestTheExampleInPythonFollowsASync(t *testing.T) {
	exampleFollows(t, []string{"/usr/bin/python3", examples + "follow.py"}, objectLines...)
}

// The page for those who build desktops ends with a session to be tried.
func TestTheSessionOnThePageForDesktopsSettlesItsConflict(t *testing.T) {
	page, err := os.ReadFile("../docs/desktop.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "\n```sh\n")
	script, _, _ := strings.Cut(rest, "\n```")
	d := homeAt(t, "")
	d.write("bin/davbusd", "#!/bin/sh\nDAVBUS_TEST_DAEMON=1 exec '"+self(t)+"'\n")
	d.must(os.Chmod(filepath.Join(d.Dir, "bin/davbusd"), 0o700))
	t.Setenv("PATH", filepath.Join(d.Dir, "bin")+":"+os.Getenv("PATH"))
	t.Setenv("TMPDIR", d.Runtime) // short enough for sockets below it
	out, err := d.says("sh", "-c", script)
	if err != nil || !strings.Contains(out, "'clashes': <['SUMMARY']>") || !strings.HasSuffix(out, "SUMMARY:Mine\r\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// barSays reads lines of the example for bars until one fits.
func barSays(t *testing.T, lines *bufio.Scanner, fits func(map[string]any) bool) {
	t.Helper()
	var seen []string
	for lines.Scan() {
		var line map[string]any
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		if fits(line) {
			return
		}
		seen = append(seen, lines.Text())
	}
	t.Fatalf("the bar never says it; it says\n%s", strings.Join(seen, "\n"))
}

func TestTheExampleForBarsShowsProgressAndConflictsAndTheEndOfTheDaemon(t *testing.T) {
	d := conflicted(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", examples+"bar.py")
	out, err := cmd.StdoutPipe()
	d.must(err)
	d.must(cmd.Start())
	defer func() { cancel(); io.Copy(io.Discard, out); cmd.Wait() }()
	lines := bufio.NewScanner(out)
	class := func(want string) func(map[string]any) bool {
		return func(line map[string]any) bool { return line["class"] == want }
	}
	barSays(t, lines, class("idle"))
	d.sync("home", "success")
	barSays(t, lines, class("syncing"))
	barSays(t, lines, func(line map[string]any) bool {
		tip, _ := line["tooltip"].(string)
		return line["class"] == "conflicts" && strings.Contains(tip, "conflict: two.ics")
	})
	d.must(d.stop())
	barSays(t, lines, class("absent"))
	if once, err := d.says("/usr/bin/python3", examples+"bar.py", "once"); err != nil || !strings.Contains(once, "absent") {
		t.Errorf("%v\n%s", err, once)
	}
}
