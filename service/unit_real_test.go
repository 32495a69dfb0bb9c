//go:build real

package service

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The unit as it is installed is one that systemd takes without a word, and its
// calls are those that the daemon makes and takes.
func TestSystemdTakesTheUnit(t *testing.T) {
	text, err := os.ReadFile("../data/systemd/user/davbus.service.in")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "davbus.service")
	program := filepath.Join(dir, "davbusd") // it must be there
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "@bindir@", dir)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "systemd-analyze", "--user", "verify", "--man=no", path)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "HOME="+dir)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "davbus") {
		t.Errorf("%v: %s", err, out)
	}
	for _, line := range []string{"Type=notify", "WatchdogSec=", "ExecReload=", "NoNewPrivileges=yes", "SystemCallFilter=", "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"} {
		if !strings.Contains(string(text), "\n"+line) {
			t.Errorf("%s is missing", line)
		}
	}
}
