//go:build real && linux

package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

// A screen is a terminal with a program in it.
type screen struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	ended  chan error

	mu   sync.Mutex
	text string
}

// davbus builds the command line.
func davbus(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "davbus")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "davbus.org/davbus/service/davbus").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// onScreen runs a program in a terminal of its own.
func onScreen(t *testing.T, argv ...string) *screen {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
	s := &screen{t: t, master: master, ended: make(chan error, 1), cmd: exec.CommandContext(ctx, argv[0], argv[1:]...)}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			s.mu.Lock()
			s.text += string(buf[:n])
			s.mu.Unlock()
			if err != nil { // nobody has the other end open any more
				return
			}
		}
	}()
	waited := make(chan struct{})
	go func() { defer close(waited); s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() {
		stop()
		<-waited
		<-read
		master.Close()
	})
	return s
}

func (s *screen) shows() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text
}

// answer waits for a question and types.
func (s *screen) answer(question, line string) {
	s.t.Helper()
	if !lab.Within(30*time.Second, func() bool { return strings.Contains(s.shows(), question) }) {
		s.t.Fatalf("it does not ask %q:\n%s", question, s.shows())
	}
	s.mu.Lock()
	_, s.text, _ = strings.Cut(s.text, question) // the next question is another one
	s.mu.Unlock()
	if _, err := s.master.WriteString(line); err != nil {
		s.t.Fatal(err)
	}
}

// exits waits for the end of the program.
func (s *screen) exits(code int) {
	s.t.Helper()
	select {
	case err := <-s.ended:
		exit, _ := errors.AsType[*exec.ExitError](err)
		if got := map[bool]int{true: 0}[err == nil]; exit != nil && exit.ExitCode() != code || exit == nil && got != code {
			s.t.Errorf("it exits with %v, want %d:\n%s", err, code, s.shows())
		}
	case <-time.After(time.Minute):
		s.t.Errorf("it does not end:\n%s", s.shows())
	}
}

func TestATerminal(t *testing.T) {
	program := davbus(t)
	t.Run("answers for the user and shows no password", func(t *testing.T) { terminalTellsPasswords(t, program) })
	t.Run("or none, and the person is told", func(t *testing.T) { noTerminalIsTold(t, program) })
	t.Run("settles a conflict and held deletions", func(t *testing.T) { terminalSettles(t, program) })
}

func terminalTellsPasswords(t *testing.T, program string) {
	server := lab.Radicale(t)
	d := home(t)
	d.start()
	_, err := server.Make(t.Context(), "work")
	d.must(err)
	d.account("work", "dav", "url", server.URL+"/", "username", lab.Alice)
	d.account("local", "vdir", "path", "~/pim")
	d.group("home", []string{"work", "local"}, client.Options{"create-missing": []string{"local"}})

	agent := onScreen(t, program, "agent")
	agent.answer("asked here", "")
	job, err := d.c.Sync(t.Context(), "home", client.SyncOptions{})
	d.must(err)
	agent.answer("password of alice", lab.AlicePassword+"\n")
	result, report, err := d.c.Wait(t.Context(), job)
	d.must(err)
	if result != "success" {
		t.Errorf("%s %v", result, report.Plain())
	}
	agent.answer("", "\x03") // ^C
	agent.exits(0)

	logout := onScreen(t, program, "logout", "work")
	logout.exits(0)
	d.sync("home", "failed")
	login := onScreen(t, program, "login", "work")
	login.answer("Password of alice", "wrong-Pa55\n")
	login.exits(4)
	d.sync("home", "failed")
	login = onScreen(t, program, "login", "work")
	login.answer("Password of alice", lab.AlicePassword+"\n")
	login.exits(0)
	d.sync("home", "success")
	for _, s := range []*screen{agent, login} {
		if strings.Contains(s.shows(), lab.AlicePassword) {
			t.Errorf("the password is on the screen:\n%s", s.shows())
		}
	}
}

// Where nobody can be asked, adding an account says what is still to be done.
func noTerminalIsTold(t *testing.T, program string) {
	d := home(t)
	d.start()
	add := func(id string, more ...string) string {
		t.Helper()
		out, err := d.says(append([]string{program, "account", "add", id, "dav", "url=http://127.0.0.1:1/", "username=alice"}, more...)...)
		d.must(err)
		return out
	}
	if got := add("one"); !strings.Contains(got, "davbus login one") {
		t.Errorf("it says %q", got)
	}
	for id, option := range map[string]string{"two": "password-command=cat", "three": "--no-password"} {
		if got := add(id, option); strings.Contains(got, "davbus login") {
			t.Errorf("with %s it says %q", option, got)
		}
	}
}

func terminalSettles(t *testing.T, program string) {
	d := home(t)
	d.start()
	for i := range 12 {
		d.write(fmt.Sprintf("a/cal/u%02d.ics", i), vevent(fmt.Sprintf("u%02d", i), fmt.Sprintf("item %02d", i)))
	}
	d.account("a", "vdir", "path", "~/a")
	d.account("b", "vdir", "path", "~/b")
	d.group("home", []string{"a", "b"}, client.Options{"create-missing": []string{"b"}})
	d.sync("home", "success")
	agent := onScreen(t, program, "agent")
	agent.answer("asked here", "")
	d.write("a/cal/u00.ics", vevent("u00", "mine"))
	d.write("b/cal/u00.ics", vevent("u00", "yours"))
	d.sync("home", "success")
	agent.answer("b/cal has it", "")
	agent.answer("later): ", "2\n")
	if !lab.Within(30*time.Second, func() bool { return strings.HasPrefix(d.files("a/cal"), "yours") }) {
		t.Errorf("%q\n%s", d.files("a/cal"), agent.shows())
	}
	for i := 1; i < 12; i++ {
		d.must(os.Remove(filepath.Join(d.Dir, fmt.Sprintf("a/cal/u%02d.ics", i))))
	}
	d.sync("home", "partial")
	agent.answer("11 of 12 items of home", "")
	agent.answer("not now): ", "delete\n")
	if !lab.Within(30*time.Second, func() bool { return d.files("b/cal") == "yours" }) {
		t.Errorf("%q\n%s", d.files("b/cal"), agent.shows())
	}
	agent.answer("", "\x03")
	agent.exits(0)
}
