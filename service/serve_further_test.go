//go:build real && further

package service

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Evolution works on the folder that is kept in step, while the server is away.
func TestFurtherT13EvolutionWorksOffTheServer(t *testing.T) {
	d, a, server := inStep(t)
	server.Kill()
	address, cookie, _ := a.stream("Collection.Serve", "work/work", nil, map[string]any{"address_type": "tcp"})
	host, port, err := net.SplitHostPort(address)
	d.must(err)
	d.write("eds/.config/evolution/sources/davbus.source", fmt.Sprintf(edsSource, host, port))
	home := filepath.Join(d.Dir, "eds")
	run, err := os.MkdirTemp("/tmp", "eds-")
	d.must(err)
	defer os.RemoveAll(run)
	d.must(os.MkdirAll(filepath.Join(home, ".local", "share"), 0o700))
	script := `printf x | gnome-keyring-daemon --unlock --components=secrets >/dev/null
gdbus wait --session --timeout 20 org.freedesktop.secrets
printf %s "$COOKIE" | secret-tool store --label="Evolution Data Source davbus" xdg:schema org.gnome.Evolution.Data.Source eds-origin evolution-data-server e-source-uid davbus
exec /usr/bin/python3 testdata/edscaldav.py davbus "In march" "By Evolution"`
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "dbus-run-session", "--", "sh", "-c", script)
	cmd.Env = []string{"HOME=" + home, "XDG_RUNTIME_DIR=" + run, "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "TZ=UTC", "GSETTINGS_BACKEND=memory", "COOKIE=" + cookie}
	cmd.WaitDelay = 10 * time.Second // programs of its session may hold on to its output
	out, err := cmd.CombinedOutput()
	if !strings.Contains(string(out), "done\n") {
		t.Fatalf("EDS: %v\n%s", err, out)
	}
	if got := d.files("pim/work"); !strings.Contains(got, "By Evolution") || !strings.Contains(got, "In march by EDS") {
		t.Errorf("the folder has %s\n%s", got, out)
	}
	d.must(server.Restart())
	d.sync("home", "success")
	on := d.onServer(server)
	for _, summary := range []string{"By Evolution", "In march by EDS", "In january", "In may"} {
		if !strings.Contains(on, "SUMMARY:"+summary+"\r\n") {
			t.Errorf("%s is not on the server:\n%s", summary, on)
		}
	}
}

const edsSource = `[Data Source]
DisplayName=davbus
Enabled=true
Parent=caldav-stub
[Calendar]
BackendName=caldav
Selected=true
[Authentication]
Host=%s
Method=plain/password
Port=%s
User=me
RememberPassword=true
[Security]
Method=none
[WebDAV Backend]
ResourcePath=/user/calendars/work/
CalendarAutoSchedule=false
[Offline]
StaySynchronized=true
[Refresh]
Enabled=true
IntervalMinutes=30
`
