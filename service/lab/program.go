package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Program is a child process. The end of its output is kept for when it fails.
// What it started ends with it.
type Program struct {
	cmd  *exec.Cmd
	out  tail
	done chan struct{} // closed when it has ended and was waited for
	err  error         // how; valid after done
}

// Start runs a program that is found in PATH or by its full name. Whoever starts
// it ends it.
func Start(env []string, name string, args ...string) (*Program, error) {
	p := &Program{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Env = env
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = childAttr()
	p.cmd.WaitDelay = time.Second // what it started may still hold its output
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w (make check installs what is missing)", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		if errors.Is(p.err, exec.ErrWaitDelay) {
			p.err = nil // it ended well itself
		}
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // what it left running
		close(p.done)
	}()
	return p, nil
}

// Ended tells whether it has ended by itself or was ended.
func (p *Program) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Kill ends it as a crash would.
func (p *Program) Kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// Stop asks it to end, and kills it if it does not. The error tells that it did
// not end well; after the first call it is nil.
func (p *Program) Stop(limit time.Duration) error {
	if p.Ended() {
		return nil
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	return p.Wait(limit)
}

// Wait lets it end, and kills it if it does not.
func (p *Program) Wait(limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.err
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("%s did not end within %v", p.cmd.Path, limit)
	}
}

// Pid is its process.
func (p *Program) Pid() int { return p.cmd.Process.Pid }

// String is what was run and the end of what it said.
func (p *Program) String() string {
	return strings.Join(p.cmd.Args, " ") + "\n" + p.out.String()
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 1 << 20

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if extra := len(t.text) - tailBytes; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// plainEnv is an environment without anything of the person who runs the test
// but where programs are found.
func plainEnv(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "TZ=UTC"}, more...)
}
