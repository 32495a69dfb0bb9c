//go:build real

package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"davbus.org/davbus/transports/control"
)

func TestRealT8T13ExportAndServeBySocatAndCurl(t *testing.T) {
	d := home(t)
	cal := filepath.Join(d.Dir, "cal", "work")
	d.must(os.MkdirAll(cal, 0o700))
	event := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VEVENT\r\nUID:one\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260101T100000Z\r\nSUMMARY:One\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	d.must(os.WriteFile(filepath.Join(cal, "one.ics"), []byte(event), 0o600))
	d.start()
	c, err := control.Dial(filepath.Join(d.Runtime, "davbus", "control"))
	d.must(err)
	defer c.Close()
	ask := func(method string, params map[string]any) map[string]any {
		t.Helper()
		var got map[string]any
		if err := c.Call(t.Context(), method, params, &got); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		return got
	}
	ask("Manager.AddAccount", map[string]any{"id": "here", "kind": "vdir", "parameters": map[string]any{"path": filepath.Join(d.Dir, "cal"), "kind": "calendar"}})
	job := ask("Account.Discover", map[string]any{"object": "here"})["job"]
	ask("Job.Wait", map[string]any{"object": job})

	path := ask("Shell.Export", map[string]any{"what": "here/work"})["address"].(string)
	if got := tool(t, "", "socat", "-u", "UNIX-CONNECT:"+path, "-"); got != event {
		t.Errorf("the export is %q", got)
	}
	path = ask("Shell.Serve", map[string]any{"what": "here/work"})["address"].(string)
	const at = "http://localhost/user/calendars/work/"
	if got := tool(t, "", "curl", "-sS", "--unix-socket", path, at+"one.ics"); got != event {
		t.Errorf("served: %q", got)
	}
	second := strings.ReplaceAll(event, "one", "two")
	tool(t, second, "curl", "-sS", "-f", "--unix-socket", path, "-T", "-", "-H", "Content-Type: text/calendar", at+"two.ics")
	if got, err := os.ReadFile(filepath.Join(cal, "two.ics")); err != nil || string(got) != second {
		t.Errorf("the folder has %q, %v", got, err)
	}
	if got := tool(t, "", "curl", "-sS", "--unix-socket", path, "-X", "PROPFIND", "-H", "Depth: 1", at); !strings.Contains(got, "two.ics") {
		t.Error(got)
	}
}
