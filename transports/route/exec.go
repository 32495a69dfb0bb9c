package route

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"time"
)

// grace is how long a program may take to end after its connection was closed.
const grace = time.Second

// startExec runs a program whose standard input and output are the two
// directions of one connection, and returns the other end. The program may also
// hand back a connected socket: see turning.
func startExec(ctx context.Context, argv []string, env Env) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout = theirs, theirs
	if env.Says != nil {
		cmd.Stderr = &lines{tell: env.Says}
	}
	cmd.SysProcAttr = ownGroup()
	cmd.WaitDelay = grace // of a grandchild that keeps stderr open
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("cannot start the program of the route: %w", err)
	}
	c := &execConn{turning: turning{pipe: conn.(*net.UnixConn)}, cmd: cmd, ended: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// An execConn is a connection to a program, or to where the program led; closing
// it ends the program and waits for it.
type execConn struct {
	turning
	cmd   *exec.Cmd
	once  sync.Once
	ended chan struct{}
	err   error // of Wait; read after ended
}

// Read tells, where a program ended without a word, what became of it.
func (c *execConn) Read(p []byte) (int, error) {
	n, err := c.turning.Read(p)
	return n, c.why(err)
}

func (c *execConn) Write(p []byte) (int, error) {
	n, err := c.turning.Write(p)
	return n, c.why(err)
}

func (c *execConn) why(err error) error {
	if !errors.Is(err, io.EOF) && !brokenPipe(err) || c.settled() != nil {
		return err
	}
	select {
	case <-c.ended:
		why := "it ended without an answer"
		if c.err != nil {
			why = c.err.Error()
		}
		return &Unavailable{"exec:" + c.cmd.Args[0], "exec", fmt.Errorf("program %s: %s", c.cmd.Args[0], why)}
	case <-time.After(grace):
		return err
	}
}

func (c *execConn) Close() error {
	err := c.turning.Close()
	c.once.Do(func() {
		select {
		case <-c.ended:
			return
		default:
		}
		endGroup(c.cmd.Process, false)
		select {
		case <-c.ended:
		case <-time.After(grace):
			endGroup(c.cmd.Process, true)
			<-c.ended
		}
	})
	return err
}

// lines tells what is written to it line by line; overlong ones are cut, and one
// without an end is not told.
type lines struct {
	tell func(string)
	part []byte
}

func (l *lines) Write(p []byte) (int, error) {
	const longest = 4096
	n := len(p)
	for {
		head, rest, whole := bytes.Cut(p, []byte("\n"))
		l.part = append(l.part, head[:min(len(head), longest-len(l.part))]...)
		if !whole {
			return n, nil
		}
		l.tell(string(l.part))
		l.part, p = l.part[:0], rest
	}
}
