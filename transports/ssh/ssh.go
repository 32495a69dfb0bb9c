// Package ssh reaches another machine by the ssh that the user has set up: one
// process is logged in, runs one command there, and carries as many sockets from
// there to here as are asked for. Passwords, keys, agents and jumps are ssh's own
// affair.
package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options of a connection.
type Options struct {
	Program []string // ssh, with options of the user's; empty: "ssh"
	Dir     string   // of this user alone, for the sockets that are carried
}

// patience is how long ssh may take to do what needs no network, and to end.
const patience = 10 * time.Second

// A Host is a login on another machine, and the standard input and output of the
// command that runs there.
type Host struct {
	io.WriteCloser // the command's standard input
	io.Reader      // and output

	program []string
	name    string
	dir     string // of ours alone: the master's socket, and those that are carried
	cmd     *exec.Cmd
	said    said
	ended   chan struct{}
	err     error // of Wait; read after ended
	once    sync.Once

	mu   sync.Mutex
	last int
}

// Dial logs in and runs a command there. It is back when ssh was started: whether
// it gets there shows when the command is read from.
func Dial(host string, o Options, command ...string) (*Host, error) {
	if host == "" || strings.HasPrefix(host, "-") {
		return nil, fmt.Errorf("%q is no host; it is written HOST or USER@HOST", host)
	}
	if len(o.Program) == 0 {
		o.Program = []string{"ssh"}
	}
	dir, err := os.MkdirTemp(o.Dir, "h")
	if err != nil {
		return nil, fmt.Errorf("cannot make a folder for the sockets of %s: %w", host, err)
	}
	h := &Host{program: o.Program, name: host, dir: dir, ended: make(chan struct{})}
	if err := h.start(command); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return h, nil
}

func (h *Host) start(command []string) error {
	h.cmd = h.ssh(context.Background(), "-o", "ControlMaster=yes", "-o", "ControlPersist=no", "-o", "ClearAllForwardings=yes", "-o", "ForwardX11=no",
		"-o", "StreamLocalBindMask=0177", "-T")
	for _, word := range command {
		h.cmd.Args = append(h.cmd.Args, quote(word))
	}
	in, err1 := h.cmd.StdinPipe()
	out, err2 := h.cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	h.WriteCloser, h.Reader = in, out
	h.cmd.Stderr = &h.said
	h.cmd.WaitDelay = time.Second // of something that keeps stderr open
	if err := h.cmd.Start(); err != nil {
		return fmt.Errorf("cannot start ssh: %w", err)
	}
	return nil
}

// ssh makes a command of ssh to this host. What follows the host's name is to be
// added to it.
func (h *Host) ssh(ctx context.Context, options ...string) *exec.Cmd {
	args := append([]string{}, h.program[1:]...)
	args = append(args, "-o", "ControlPath="+filepath.Join(h.dir, "m"))
	args = append(append(args, options...), "--", h.name)
	return exec.CommandContext(ctx, h.program[0], args...)
}

// quote writes a word for the shell that runs there.
func quote(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,@") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Close ends the command and everything that is carried, and waits for it.
func (h *Host) Close() error {
	h.once.Do(func() {
		h.WriteCloser.Close()
		late := time.AfterFunc(time.Second, func() { h.cmd.Process.Signal(syscall.SIGTERM) })
		later := time.AfterFunc(patience, func() { h.cmd.Process.Kill() })
		io.Copy(io.Discard, h.Reader) // Wait must not come before all is read
		h.err = h.cmd.Wait()
		late.Stop()
		later.Stop()
		close(h.ended)
		os.RemoveAll(h.dir)
	})
	return nil
}

// Why tells, after the command's output has ended too early, what became of it.
func (h *Host) Why() error {
	h.Close()
	last := h.said.last()
	exit, ok := errors.AsType[*exec.ExitError](h.err)
	switch {
	case !ok || exit.ExitCode() == -1:
		return fmt.Errorf("the connection to %s ended: %s", h.name, last)
	case exit.ExitCode() == 255: // ssh's own
		return fmt.Errorf("cannot reach %s by ssh: %s; try: %s %s true", h.name, last, strings.Join(h.program, " "), h.name)
	case exit.ExitCode() == 127: // a shell's
		return fmt.Errorf("%s has no such command: %s; install davbus there, in the PATH that commands by ssh have", h.name, last)
	}
	return fmt.Errorf("the command on %s failed: %s", h.name, last)
}

// Forward makes a socket here behind which is one there, a Unix socket's path or
// the address of a TCP port, and gives its path, or its address. The port has the
// same number here if it is free: servers look at the name that they are called.
func (h *Host) Forward(ctx context.Context, there string) (here string, err error) {
	if strings.HasPrefix(there, "/") {
		h.mu.Lock()
		h.last++
		here = filepath.Join(h.dir, strconv.Itoa(h.last))
		h.mu.Unlock()
		return here, h.forward(ctx, here+":"+there)
	}
	_, port, err := net.SplitHostPort(there)
	if err != nil {
		return "", fmt.Errorf("%q is no socket: it is neither a full path nor HOST:PORT", there)
	}
	for range 5 { // somebody else may take a free port before ssh does
		if here, err = freePort(port); err != nil {
			return "", err
		}
		if err = h.forward(ctx, here+":"+there); err == nil {
			return here, nil
		}
	}
	return "", err
}

func freePort(wanted string) (string, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", wanted))
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (h *Host) forward(ctx context.Context, what string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := h.ssh(ctx, "-O", "forward", "-L", what).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s does not carry sockets (%s): %s", h.name, what, lastLine(out))
	}
	return nil
}

// Run runs one more command there, over the same login, and gives what it said.
func (h *Host) Run(ctx context.Context, in []byte, command ...string) (out []byte, err error) {
	cmd := h.ssh(ctx, "-o", "ControlMaster=no", "-T")
	for _, word := range command {
		cmd.Args = append(cmd.Args, quote(word))
	}
	cmd.Stdin = bytes.NewReader(in)
	var failed said
	cmd.Stderr = &failed
	cmd.WaitDelay = time.Second
	if out, err = cmd.Output(); err != nil {
		return nil, fmt.Errorf("the command on %s failed: %s", h.name, failed.last())
	}
	return out, nil
}

// said keeps the end of what ssh and the command there complain about.
type said struct {
	mu   sync.Mutex
	text []byte
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, p...)
	if extra := len(s.text) - 8192; extra > 0 {
		s.text = append(s.text[:0], s.text[extra:]...)
	}
	return len(p), nil
}

func (s *said) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return lastLine(s.text)
}

// lastLine is the last line that says something, without what moves a cursor.
func lastLine(text []byte) string {
	text = bytes.TrimSpace(text)
	line := string(text[bytes.LastIndexByte(text, '\n')+1:])
	if line == "" {
		return "it said nothing"
	}
	return strings.Map(func(c rune) rune {
		if c < 0x20 || c >= 0x7f && c < 0xa0 {
			return -1
		}
		return c
	}, line)
}
