//go:build real

package lab

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const labEvent = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//lab//EN\r\nBEGIN:VEVENT\r\nUID:lab\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nSUMMARY:lab\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

func TestServersAnswerOnBothWaysAndKeepTheirDataThroughAKill(t *testing.T) {
	for _, begin := range []func(T) *Server{Radicale, Xandikos, XandikosOnSocket} {
		s := begin(t)
		t.Run(s.Name, func(t *testing.T) {
			path, err := s.Make(t.Context(), "work")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Make(t.Context(), "people.contacts"); err != nil {
				t.Fatal(err)
			}
			resp, err := s.Do(t.Context(), "PUT", path+"lab.ics", labEvent, "Content-Type", "text/calendar")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusCreated {
				t.Fatalf("PUT: %s", resp.Status)
			}
			pid := s.Pid()
			s.Kill()
			if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
				t.Errorf("process %d is still there: %v", pid, err)
			}
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			for _, c := range []*http.Client{dialer("unix", s.Socket), dialer("tcp", strings.TrimPrefix(s.URL, "http://"))} {
				req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+path+"lab.ics", nil)
				if err != nil {
					t.Fatal(err)
				}
				if s.Login {
					req.SetBasicAuth(Alice, AlicePassword)
				}
				resp, err := c.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				c.CloseIdleConnections()
				if !strings.Contains(string(body), "SUMMARY:lab") {
					t.Errorf("%s after the kill: %s\n%s", s.URL, resp.Status, body)
				}
			}
		})
	}
}

func TestServersCountThroughAProxyOnEitherWay(t *testing.T) {
	s := Radicale(t)
	for _, target := range []string{s.URL, s.Socket} {
		p := CountingProxy(t, target)
		req := httptest.NewRequest("PROPFIND", p.URL+s.Calendar, nil)
		req.RequestURI = ""
		req.Header.Set("Depth", "0")
		req.SetBasicAuth(Alice, AlicePassword)
		c := dialer("tcp", strings.TrimPrefix(p.URL, "http://"))
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		c.CloseIdleConnections()
		if resp.StatusCode != 207 || !Within(patience, func() bool { return p.Count("PROPFIND") == 1 }) || p.Writes() != 0 {
			t.Errorf("%s through the proxy: %s, log %+v", target, resp.Status, p.Log())
		}
	}
}

func TestABusIsPrivateAndEmpty(t *testing.T) {
	b, h := Bus(t), Home(t)
	cmd := exec.CommandContext(t.Context(), "gdbus", "call", "--session", "--dest", "org.freedesktop.DBus", "--object-path", "/org/freedesktop/DBus", "--method", "org.freedesktop.DBus.ListActivatableNames")
	cmd.Env = h.Env("DBUS_SESSION_BUS_ADDRESS=" + b.Address)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "(['org.freedesktop.DBus'],)" {
		t.Errorf("activatable on a private bus: %s %v", out, err)
	}
	info, err := os.Stat(h.Runtime)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the runtime folder is %v, %v", info.Mode(), err)
	}
	b.Stop()
	b.Stop()
}

func TestAProgramEndsWhenAskedOrIsKilled(t *testing.T) {
	for script, well := range map[string]bool{"read x": false, "trap 'exit 0' TERM; echo ready; while :; do read x; done": true, "trap '' TERM; echo ready; read x; exec sleep 60": false} {
		p, err := Start(plainEnv(), "sh", "-c", "exec 0<>\"$1\"; "+script, "sh", fifo(t))
		if err != nil {
			t.Fatal(err)
		}
		if !Within(patience, func() bool { return !strings.Contains(script, "ready") || strings.Contains(p.String(), "ready\n") }) || p.Ended() {
			t.Fatalf("not ready: %v", p)
		}
		if err := p.Stop(200 * time.Millisecond); (err == nil) != well {
			t.Errorf("%s: ended with %v", script, err)
		}
		if !p.Ended() || syscall.Kill(p.Pid(), 0) != syscall.ESRCH || p.Stop(0) != nil {
			t.Errorf("%s: it is still there", script)
		}
	}
}

func fifo(t *testing.T) string {
	path := t.TempDir() + "/in"
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A program that left others running, which hold its output, holds up nobody, and
// neither do they live on.
func TestWhatAProgramLeftRunningEndsWithIt(t *testing.T) {
	child := filepath.Join(t.TempDir(), "child")
	p, err := Start(plainEnv(), "sh", "-c", `sleep 1000 & echo $! >`+child+`; exit 0`)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(patience); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(child)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	gone := func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH || zombie(pid) }
	if !Within(patience, gone) {
		t.Errorf("process %d lives on", pid)
	}
}

// zombie says whether a process has ended and was not waited for: in a container
// nobody may do that.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}
