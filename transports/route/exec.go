package route

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"
)

// grace is how long a program may take to end after its connection was closed.
const grace = time.Second

// startExec runs a program whose standard input and output are the two
// directions of one connection, and returns the other end.
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
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, env.Stderr
	cmd.SysProcAttr = ownGroup()
	cmd.WaitDelay = grace // of a grandchild that keeps stderr open
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("cannot start the program of the route: %w", err)
	}
	c := &execConn{Conn: conn, cmd: cmd, ended: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// An execConn is a connection to a program; closing it ends the program and
// waits for it.
type execConn struct {
	net.Conn
	cmd   *exec.Cmd
	heard atomic.Bool
	once  sync.Once
	ended chan struct{}
	err   error // of Wait; read after ended
}

// Read tells, where a program ended without a word, what became of it.
func (c *execConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard.Store(true)
	}
	if errors.Is(err, io.EOF) && !c.heard.Load() {
		select {
		case <-c.ended:
			why := "it ended without an answer"
			if c.err != nil {
				why = c.err.Error()
			}
			err = &Unavailable{"exec:" + c.cmd.Args[0], "exec", fmt.Errorf("program %s: %s", c.cmd.Args[0], why)}
		case <-time.After(grace):
		}
	}
	return n, err
}

func (c *execConn) Close() error {
	err := c.Conn.Close()
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

// CloseWrite tells the program that nothing more will come.
func (c *execConn) CloseWrite() error { return c.Conn.(*net.UnixConn).CloseWrite() }
