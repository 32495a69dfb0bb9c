//go:build real

package service

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/adrg/xdg"
	"go.uber.org/goleak"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

// TestMain lets this program be a davbusd of its own, for tests of what a process
// gets from whoever starts it.
func TestMain(m *testing.M) {
	if os.Getenv("DAVBUS_TEST_DAEMON") == "" {
		goleak.VerifyTestMain(counted{m})
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	after, _ := time.ParseDuration(os.Getenv("DAVBUS_TEST_IDLE")) // 0 if nothing is said
	if err := Run(ctx, Options{LogLevel: "debug", Log: os.Stderr, IdleExit: after}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// counted are tests that leave as many descriptors open as they found.
type counted struct{ m *testing.M }

func (c counted) Run() int {
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close() // the runtime's own descriptors are open from now on
	}
	before := descriptors()
	code := c.m.Run()
	if !lab.Within(patience, func() bool {
		runtime.GC() // pipes that the library keeps for a while
		return len(descriptors()) <= len(before)
	}) {
		fmt.Fprintf(os.Stderr, "descriptors before all tests: %q, after: %q\n", before, descriptors())
		return max(code, 1)
	}
	return code
}

// descriptors are the open ones, as the kernel names them.
func descriptors() []string {
	open, _ := filepath.Glob("/proc/self/fd/*")
	names := make([]string, 0, len(open))
	for _, fd := range open {
		if name, err := os.Readlink(fd); err == nil { // not the one that was read with
			names = append(names, name)
		}
	}
	return names
}

// patience bounds what is waited for.
const patience = 30 * time.Second

// A T is a test or a benchmark.
type T = testing.TB

type rig struct {
	T
	lab.HomeDir
	bus    *lab.PrivateBus
	c      *client.Client
	log    syncBuffer
	leave  context.CancelFunc
	reload chan os.Signal
	ended  chan error

	network func(context.Context, func(bool)) // tells of the network; nil never does, and it is there
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func home(t testing.TB, services ...string) *rig {
	t.Helper()
	bus := lab.Bus(t, services...)
	d := homeAt(t, bus.Address)
	d.bus = bus
	d.watchSecrets(bus.Address)
	return d
}

// homeOn is home on a bus of another kind, which the test does not end.
func homeOn(t testing.TB, bus bustest.Bus) *rig {
	t.Helper()
	address, _ := bus.Start(t)
	d := homeAt(t, address)
	d.watchSecrets(address)
	return d
}

func homeAt(t testing.TB, address string) *rig {
	t.Helper()
	d := &rig{T: t, HomeDir: lab.Home(t)}
	for name, value := range map[string]string{
		"HOME": d.Dir, "XDG_CONFIG_HOME": d.Config, "XDG_STATE_HOME": d.State, "XDG_DATA_HOME": d.Share,
		"XDG_CACHE_HOME": d.Cache, "XDG_RUNTIME_DIR": d.Runtime, "DBUS_SESSION_BUS_ADDRESS": address,
	} {
		t.Setenv(name, value)
	}
	xdg.Reload()
	return d
}

func (d *rig) start() {
	d.Helper()
	ctx, leave := context.WithCancel(context.Background())
	ready, told, err := os.Pipe()
	if err != nil {
		d.Fatal(err)
	}
	d.leave, d.reload, d.ended = leave, make(chan os.Signal, 1), make(chan error, 1)
	ended, reload, network := d.ended, d.reload, d.network
	if network == nil {
		network = func(context.Context, func(bool)) {}
	}
	go func() {
		ended <- Run(ctx, Options{LogLevel: "debug", Log: &d.log, Ready: told, Reload: reload, Network: network})
		close(ended)
	}()
	line := make([]byte, 16)
	n, err := ready.Read(line)
	ready.Close()
	if err != nil || string(line[:n]) != "READY=1\n" {
		d.Fatalf("it is not ready: %q %v\n%s", line[:n], err, d.log.String())
	}
	if d.c, err = client.Dial(d.Context()); err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() {
		if err := d.stop(); err != nil {
			d.Errorf("at the end: %v", err)
		}
		if d.Failed() {
			d.Logf("log:\n%s", d.log.String())
		}
	})
}

func (d *rig) stop() error {
	if d.c != nil {
		d.c.Close()
		d.c = nil
	}
	d.leave()
	select {
	case err := <-d.ended:
		return err
	case <-time.After(30 * time.Second):
		d.Fatalf("it does not end\n%s", d.log.String())
		return nil
	}
}

func (d *rig) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatalf("%v\n%s", err, d.log.String())
	}
}

func (d *rig) account(id, kind string, params ...any) {
	d.Helper()
	p := client.Options{}
	for i := 0; i < len(params); i += 2 {
		p[params[i].(string)] = params[i+1]
	}
	_, err := d.c.AddAccount(d.Context(), id, kind, p, nil)
	d.must(err)
}

func (d *rig) sync(what, result string) client.Props {
	d.Helper()
	job, err := d.c.Sync(d.Context(), what, client.SyncOptions{})
	d.must(err)
	got, report, err := d.c.Wait(d.Context(), job)
	d.must(err)
	if got != result {
		p, _ := d.c.Job(d.Context(), job)
		d.Errorf("%s: %s %s, want %s\n%v", job, got, p.Str("ErrorMessage"), result, report.Plain())
	}
	return report
}

func (d *rig) write(path, text string) {
	d.Helper()
	path = filepath.Join(d.Dir, path)
	d.must(os.MkdirAll(filepath.Dir(path), 0o700))
	d.must(os.WriteFile(path, []byte(text), 0o600))
}

func (d *rig) files(folder string) string {
	d.Helper()
	entries, err := os.ReadDir(filepath.Join(d.Dir, folder))
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(d.Dir, folder, e.Name()))
		d.must(err)
		_, after, ok := strings.Cut(string(text), "SUMMARY:")
		if line, _, _ := strings.Cut(after, "\r\n"); ok {
			all = append(all, line)
		}
	}
	return strings.Join(all, ", ")
}

func vevent(uid, summary string) string {
	return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//test\r\nBEGIN:VEVENT\r\nUID:" + uid +
		"\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nSUMMARY:" + summary + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
}
