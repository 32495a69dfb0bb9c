//go:build real

// Package blackbox_test works the shipped programs from outside: davbusd and
// davbus as they are built, each daemon in a home and on a bus of its own.
package blackbox_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/service/lab"
)

const patience = 30 * time.Second

// bin is where TestMain puts the shipped programs.
var bin string

func TestMain(m *testing.M) { os.Exit(build(m.Run)) }

// build makes what is shipped, once for all tests.
func build(run func() int) int {
	dir, err := os.MkdirTemp("", "davbus-shipped-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if out, err := exec.Command("go", "build", "-trimpath", "-o", dir+"/", "../davbusd", "../davbus").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot build: %v\n%s", err, out)
		return 1
	}
	bin = dir
	return run()
}

// A house is a home with a bus and, once it is started, a daemon.
type house struct {
	*testing.T
	lab.HomeDir
	name   string
	bus    *lab.PrivateBus
	daemon *lab.Program
	under  []string // a program that runs the daemon, with its arguments
	kills  int      // how often it was killed, where that is counted
	shaken bool     // it was, and has not yet come to know what it had done
}

func newHouse(t *testing.T, name string) *house {
	t.Helper()
	h := &house{T: t, HomeDir: lab.Home(t), name: name, bus: lab.Bus(t)}
	bustest.NothingShows(t, h.bus.Address, lab.AlicePassword)
	return h
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatalf("%s: %v", h.name, err)
	}
}

// config writes a configuration file.
func (h *house) config(name, text string) { h.file(filepath.Join(".config/davbus", name), text) }

func (h *house) file(name, text string) {
	h.Helper()
	path := filepath.Join(h.Dir, name)
	h.must(os.MkdirAll(filepath.Dir(path), 0o700))
	h.must(os.WriteFile(path, []byte(text), 0o600))
}

func (h *house) env() []string { return h.Env("DBUS_SESSION_BUS_ADDRESS=" + h.bus.Address) }

// start runs the daemon and waits until it answers.
func (h *house) start() {
	h.Helper()
	args := append(slices.Clone(h.under), filepath.Join(bin, "davbusd"), "--log-level", "debug")
	p, err := lab.Start(h.env(), args[0], args[1:]...)
	h.must(err)
	h.daemon = p
	h.Cleanup(func() {
		if err := p.Stop(patience); err != nil && h.under == nil {
			h.Errorf("%s: %v\n%v", h.name, err, p)
		}
	})
	if !lab.Within(patience, func() bool { return p.Ended() || h.answers() }) || p.Ended() && h.under == nil {
		h.Fatalf("%s: the daemon does not answer\n%v", h.name, p)
	}
}

func (h *house) answers() bool {
	_, _, code := h.davbus("status")
	return code == 0
}

// davbus runs the command line as a person would.
func (h *house) davbus(args ...string) (out, errs string, code int) {
	h.Helper()
	out, errs, code, err := h.tool(args...)
	h.must(err)
	return out, errs, code
}

// tool is davbus for goroutines that are not the test's.
func (h *house) tool(args ...string) (out, errs string, code int, err error) {
	var o, e bytes.Buffer
	cmd := exec.CommandContext(h.Context(), filepath.Join(bin, "davbus"), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = h.env(), &o, &e
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return o.String(), e.String(), exit.ExitCode(), nil
	}
	return o.String(), e.String(), 0, err
}

// A report is what a sync did.
type report struct {
	Result, Message                          string
	Added, Modified, Removed, Merged, Failed int
	Conflicts, Held                          int
}

func (r report) changed() int { return r.Added + r.Modified + r.Removed + r.Merged + r.Failed }

// sync waits for a sync of everything.
func (h *house) sync() report {
	h.Helper()
	out, errs, code := h.davbus("--json", "sync", "home")
	var r struct {
		report
		Message string `json:"error-message"`
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		h.Fatalf("%s: sync gave %d, %q %q: %v\n%v", h.name, code, out, errs, err, h.daemon)
	}
	r.report.Message = r.Message
	return r.report
}

// conflicts are the UIDs of the items in conflict.
func (h *house) conflicts() map[string]bool {
	h.Helper()
	out, errs, _ := h.davbus("--json", "conflicts")
	var all []struct{ Uid, ItemName string }
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		h.Fatalf("%s: conflicts gave %q %q: %v", h.name, out, errs, err)
	}
	uids := map[string]bool{}
	for _, c := range all {
		uids[strings.TrimSuffix(c.ItemName, ".ics")] = true
		uids[c.Uid] = true
	}
	return uids
}
