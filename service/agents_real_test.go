//go:build real

package service

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

// A scripted agent answers as a test wants and writes down what it was asked.
type scripted struct {
	mu          sync.Mutex
	asked       []string
	secrets     []string // one after the other
	certificate func(host, pem string, problems []string) (bool, error)
	deletions   func() (bool, error)
	conflict    func(path dbus.ObjectPath) (string, error)
}

func (s *scripted) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, fmt.Sprintf(format, args...))
}

func (s *scripted) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.asked, "; ")
}

func (s *scripted) Secret(_ context.Context, account, name, reason string, d client.Props) ([]byte, error) {
	s.note("%s of %s for %s: %s", name, account, d.Str("user"), reason)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.secrets) == 0 {
		return nil, client.ErrNo
	}
	secret := s.secrets[0]
	s.secrets = s.secrets[1:]
	return []byte(secret), nil
}

func (s *scripted) Certificate(_ context.Context, account, host, pem string, problems []string) (bool, error) {
	s.note("certificate of %s: %s", account, strings.Join(problems, " "))
	return s.certificate(host, pem, problems)
}

func (s *scripted) Deletions(_ context.Context, group string, count, total uint32) (bool, error) {
	s.note("%d of %d deletions in %s", count, total, group)
	return s.deletions()
}

func (s *scripted) Conflict(_ context.Context, path dbus.ObjectPath, d client.Props) (string, error) {
	s.note("conflict over %s", strings.Join(d.Strs("clashes"), " "))
	return s.conflict(path)
}

// agent registers an agent on a connection of its own until it is stopped.
func (d *rig) agent(a client.Agent, o client.Options) (stop func()) {
	d.Helper()
	c, err := client.Dial(context.Background())
	d.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}, 8), make(chan error, 1)
	go func() { ended <- c.ServeAgent(ctx, a, o, func() { ready <- struct{}{} }) }()
	select {
	case <-ready:
	case err := <-ended:
		d.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil && !client.HasName(err, "org.freedesktop.DBus.Error.ServiceUnknown") {
			d.Errorf("the agent: %v", err)
		}
		c.Close()
	})
	d.Cleanup(stop)
	return stop
}

func TestAMissingPasswordIsAskedOfTheAgentAndTheSyncGoesOn(t *testing.T) {
	server := lab.Radicale(t)
	d := home(t)
	d.start()
	_, err := server.Make(t.Context(), "work")
	d.must(err)
	d.account("work", "dav", "url", server.URL+"/", "username", lab.Alice)
	d.account("local", "vdir", "path", "~/pim")
	_, err = d.c.AddGroup(t.Context(), "home", []string{"work", "local"}, client.Options{"create-missing": []string{"local"}})
	d.must(err)
	d.sync("home", "failed") // nobody is there to ask: as ever
	a := &scripted{secrets: []string{"wrong-Pa55", lab.AlicePassword}}
	stop := d.agent(a, nil)
	if !lab.Within(30*time.Second, func() bool { return strings.Count(a.said(), "; ") >= 1 }) {
		t.Fatalf("an agent that comes is not asked what is open: %q", a.said())
	}
	d.sync("home", "success")
	want := "password of work for alice: missing; password of work for alice: rejected"
	if got := a.said(); got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	stop()
	var state string
	d.must(d.c.Get(t.Context(), client.AccountPath("work"), client.Name+".Account", "SecretState", &state))
	if state != "session" {
		t.Errorf("SecretState is %q", state)
	}
	d.must(d.c.Call(t.Context(), client.AccountPath("work"), client.Name+".Account.ForgetSecret", []any{"password", map[string]dbus.Variant{}}))
	d.sync("home", "failed")

	// A job that somebody waits for waits for the agent.
	a = &scripted{secrets: []string{lab.AlicePassword}}
	d.agent(a, client.Options{"handles": []string{"secrets"}})
	d.sync("home", "success")
	if strings.Contains(d.log.String(), lab.AlicePassword) || strings.Contains(d.log.String(), "wrong-Pa55") {
		t.Error("a password is in the log")
	}
}

func TestHeldDeletionsAndConflictsAreOfferedToTheAgent(t *testing.T) {
	d := home(t)
	d.start()
	for i := range 20 {
		d.write(fmt.Sprintf("a/cal/%02d.ics", i), vevent(fmt.Sprint("u", i), fmt.Sprint("item ", i)))
	}
	d.account("a", "vdir", "path", "~/a")
	d.account("b", "vdir", "path", "~/b")
	d.group("home", []string{"a", "b"}, client.Options{"create-missing": []string{"b"}})
	d.sync("home", "success")
	a := &scripted{
		deletions: func() (bool, error) { return false, nil },
		conflict: func(path dbus.ObjectPath) (string, error) {
			var members []string
			err := d.c.Get(context.Background(), path, client.Name+".Conflict", "Members", &members)
			if err != nil || len(members) != 2 {
				return "", fmt.Errorf("%v %w", members, err)
			}
			return "member:" + members[1], nil
		},
	}
	d.agent(a, nil)
	d.write("a/cal/00.ics", vevent("u0", "mine"))
	d.write("b/cal/u0.ics", vevent("u0", "yours"))
	d.sync("home", "success")
	if !lab.Within(30*time.Second, func() bool {
		return strings.HasPrefix(d.files("a/cal"), "yours") && strings.HasPrefix(d.files("b/cal"), "yours")
	}) {
		t.Errorf("%q and %q", d.files("a/cal"), d.files("b/cal"))
	}
	for i := 1; i < 20; i++ {
		d.must(os.Remove(filepath.Join(d.Dir, fmt.Sprintf("a/cal/%02d.ics", i))))
	}
	d.sync("home", "partial")
	if !lab.Within(30*time.Second, func() bool { return strings.Count(d.files("a/cal"), "item") == 19 }) {
		t.Errorf("%q", d.files("a/cal"))
	}
	if want := "conflict over SUMMARY; 19 of 20 deletions in home"; a.said() != want {
		t.Errorf("asked %q, want %q", a.said(), want)
	}
}

// An agent that is asked and leaves the bus without an answer: the next one is
// asked within a second, by the clock of the bus, and no job waits for the dead.
func TestAnAgentThatVanishesWhileItIsAskedIsReplacedByTheNext(t *testing.T) {
	server := lab.Radicale(t)
	d := home(t)
	d.start()
	_, err := server.Make(t.Context(), "work")
	d.must(err)
	d.account("work", "dav", "url", server.URL+"/", "username", lab.Alice)
	older := &scripted{secrets: []string{lab.AlicePassword}}
	d.agent(older, nil)
	c, err := client.Dial(context.Background())
	d.must(err)
	defer c.Close()
	newer := &vanishing{close: func() { c.Conn().Close() }}
	ready := make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() { ended <- c.ServeAgent(t.Context(), newer, nil, func() { ready <- struct{}{} }) }()
	<-ready
	job, err := d.c.Check(t.Context(), "work")
	d.must(err)
	result, report, err := d.c.Wait(t.Context(), job)
	d.must(err)
	if result != "success" || older.said() == "" {
		t.Errorf("%s %v; the other one was asked %q", result, report.Plain(), older.said())
	}
	<-ended
	var registered map[string]dbus.Variant
	d.must(d.c.Call(t.Context(), client.Root, client.Name+".Control.GetStatistics", []any{map[string]dbus.Variant{}}, &registered))
	if n, ok := registered["agents"].Value().(uint64); !ok || n != 1 {
		t.Errorf("%v agents are registered", registered["agents"])
	}
}

// A vanishing agent leaves the bus instead of answering.
type vanishing struct {
	scripted
	close func()
}

func (v *vanishing) Secret(ctx context.Context, _, _, _ string, _ client.Props) ([]byte, error) {
	v.close()
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestTheExampleOfAnAgentInPythonGivesAPassword(t *testing.T) {
	server := lab.Radicale(t)
	d := home(t)
	d.start()
	_, err := server.Make(t.Context(), "work")
	d.must(err)
	d.account("work", "dav", "url", server.URL+"/", "username", lab.Alice)
	d.write("pw", "#!/bin/sh\necho \"$1\" >"+d.Dir+"/asked\necho "+lab.AlicePassword+"\n")
	d.must(os.Chmod(filepath.Join(d.Dir, "pw"), 0o700))
	cmd := exec.Command("/usr/bin/python3", examples+"agent.py", filepath.Join(d.Dir, "pw"))
	out, err := cmd.StdoutPipe()
	d.must(err)
	cmd.Stderr = os.Stderr
	d.must(cmd.Start())
	defer func() { cmd.Process.Kill(); io.Copy(io.Discard, out); cmd.Wait() }()
	line := make([]byte, 6)
	if _, err := io.ReadFull(out, line); err != nil || string(line) != "ready\n" {
		t.Fatalf("%q %v", line, err)
	}
	job, err := d.c.Check(t.Context(), "work")
	d.must(err)
	result, report, err := d.c.Wait(t.Context(), job)
	d.must(err)
	asked, _ := os.ReadFile(filepath.Join(d.Dir, "asked"))
	if result != "success" || string(asked) != "password of alice (missing)\n" {
		t.Errorf("%s %v; asked %q", result, report.Plain(), asked)
	}
}
