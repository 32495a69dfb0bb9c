//go:build real

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/adrg/xdg"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service"
	"davbus.org/davbus/service/lab"
)

// daemon runs a daemon until the test ends, with a folder "here" whose calendar
// "work" has two events.
func daemon(t *testing.T) (folder string) {
	t.Helper()
	h, bus := lab.Home(t), lab.Bus(t)
	bustest.NothingShows(t, bus.Address, lab.AlicePassword)
	for name, value := range map[string]string{
		"HOME": h.Dir, "XDG_CONFIG_HOME": h.Config, "XDG_STATE_HOME": h.State, "XDG_DATA_HOME": h.Share,
		"XDG_CACHE_HOME": h.Cache, "XDG_RUNTIME_DIR": h.Runtime, "DBUS_SESSION_BUS_ADDRESS": bus.Address,
	} {
		t.Setenv(name, value)
	}
	xdg.Reload()
	folder = filepath.Join(h.Dir, "cal", "work")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	ready, told, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	ctx, leave := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx, service.Options{Log: &bytes.Buffer{}, Ready: told}) }()
	t.Cleanup(func() {
		leave()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if n, err := ready.Read(make([]byte, 16)); n == 0 {
		t.Fatal(err)
	}
	davbus(t, exitSuccess, "account", "add", "here", "vdir", "path="+filepath.Dir(folder), "kind=calendar")
	c, err := client.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	job, err := c.Discover(t.Context(), "here", nil)
	if err == nil {
		_, _, err = c.Wait(t.Context(), job)
	}
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// davbus runs the command, and gives what it prints.
func davbus(t *testing.T, code int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out, bad bytes.Buffer
	if got := run(ctx, args, &out, &bad); got != code {
		t.Errorf("davbus %q: exit code %d, want %d\n%s%s", args, got, code, out.String(), bad.String())
	}
	return out.String() + bad.String()
}

func event(uid, summary string) string {
	return fmt.Sprintf("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//t\r\nBEGIN:VEVENT\r\nUID:%s\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nSUMMARY:%s\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", uid, summary)
}

func TestRealT8ImportExportServeAndProxyFromAShell(t *testing.T) {
	folder := daemon(t)
	file := filepath.Join(t.TempDir(), "all.ics")
	all := event("a", "First") + event("b", "Second")
	os.WriteFile(file, []byte(all), 0o600)
	if got := davbus(t, exitSuccess, "import", "here/work", file, "--dry-run"); !strings.Contains(got, "2 added") {
		t.Errorf("a dry run says %q", got)
	}
	if got := davbus(t, exitSuccess, "export", "here/work"); got != "" {
		t.Errorf("after a dry run there is %q", got)
	}
	davbus(t, exitSuccess, "import", "here/work", file)
	if got := davbus(t, exitSuccess, "export", "here/work"); got != all {
		t.Errorf("exported %q", got)
	}
	if got := davbus(t, exitSuccess, "export", "here/work", "--offset", fmt.Sprint(len(event("a", "First")))); got != event("b", "Second") {
		t.Errorf("exported the rest as %q", got)
	}
	if got := davbus(t, exitSuccess, "export", "here/work", "--json-lines"); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"item":"a.ics"`) {
		t.Errorf("lines: %q", got)
	}
	os.WriteFile(file, []byte(event("b", "Edited")+"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c\r\nFN:C\r\nEND:VCARD\r\n"), 0o600)
	if got := davbus(t, exitPartial, "import", "here/work", file, "--replace"); !strings.Contains(got, "addressbook") || !strings.Contains(got, "nothing was deleted") {
		t.Errorf("with a card: %q", got)
	}
	os.WriteFile(file, []byte(event("b", "Edited")[:60]), 0o600)
	if got := davbus(t, exitFailed, "import", "here/work", file); !strings.Contains(got, "nothing was changed") {
		t.Errorf("cut off: %q", got)
	}
	if names, _ := os.ReadDir(folder); len(names) != 2 {
		t.Errorf("the folder has %v", names)
	}
	if got := davbus(t, exitFailed, "proxy", "here"); !strings.Contains(got, "has no server") {
		t.Errorf("a proxy to a folder: %q", got)
	}
	address := strings.TrimSpace(davbus(t, exitSuccess, "serve", "here/work"))
	if info, err := os.Stat(address); err != nil || info.Mode().Type() != os.ModeSocket {
		t.Errorf("it serves at %q: %v", address, err) // the command has ended, and it stays
	}
	if got := davbus(t, exitSuccess, "serve", "here/work", "--tcp"); !strings.HasPrefix(got, "http://127.0.0.1:") || !strings.Contains(got, " password ") {
		t.Errorf("on a port: %q", got)
	}
	waits(t, "serve", "here/work", "--wait")
}

// waits demands that a command stays until it is stopped, and that what it made
// goes with it.
func waits(t *testing.T, args ...string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	done := make(chan int, 1)
	go func() { defer write.Close(); done <- run(ctx, args, write, write) }()
	line := make([]byte, 500)
	n, err := read.Read(line)
	address := strings.TrimSpace(string(line[:n]))
	if _, bad := os.Stat(address); err != nil || bad != nil {
		t.Errorf("davbus %q: %q %v %v", args, address, err, bad)
	}
	stop()
	if code := <-done; code != exitSuccess {
		t.Errorf("davbus %q ended with %d", args, code)
	}
	if !lab.Within(30*time.Second, func() bool { _, err := os.Stat(address); return os.IsNotExist(err) }) {
		t.Error("its socket is still there")
	}
}
