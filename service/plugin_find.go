package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/transports/plugin"
	"davbus.org/davbus/transports/private"
	"davbus.org/davbus/transports/route"
)

// locateTime is how long a program may take to tell where a plugin is.
const locateTime = 30 * time.Second

// find finds the plugin that runs, or starts it: as the account says, else one
// that registered itself, else as the plugin's description says, else by the bus.
func (k *kept) find(ctx context.Context, o plugin.Options) (*plugin.Conn, error) {
	p := k.plugins
	start := func(argv []string) (*plugin.Conn, error) {
		if err := p.mayStart(ctx, k.account); err != nil {
			return nil, err
		}
		o.Argv = argv
		return plugin.Start(o)
	}
	attach := func(c net.Conn, err error) (*plugin.Conn, error) {
		if err != nil {
			return nil, err
		}
		return plugin.Attach(c, o), nil
	}
	if k.argv != nil {
		return start(k.argv)
	}
	if c, name := p.waiting(k.id); c != nil {
		p.mu.Lock()
		k.busName = name
		p.mu.Unlock()
		return attach(c, nil)
	}
	switch f := k.file; {
	case len(f.Command) > 0:
		return start(f.Command)
	case f.Socket != "":
		return attach(p.dialSocket(k.id, f.Socket))
	case len(f.Locate) > 0:
		if err := p.mayStart(ctx, k.account); err != nil {
			return nil, err
		}
		return attach(p.locate(ctx, k.id, f.Locate))
	}
	c, name, err := p.askBus(ctx, k.id, k.account)
	p.mu.Lock()
	k.busName = name
	p.mu.Unlock()
	return attach(c, err)
}

func missing(id, format string, args ...any) error {
	return engine.Fail(engine.PluginMissing, "find the plugin", id, format, args...)
}

// dialSocket connects to a plugin that runs already. Who listens there must be
// this user, or root.
func (p *plugins) dialSocket(id, where string) (net.Conn, error) {
	path, err := p.socketPath(where)
	if err != nil {
		return nil, missing(id, "%w", err)
	}
	c, err := private.Dial(path)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return nil, missing(id, "nobody listens at %s; its accounts are synced when somebody does", path)
	}
	var refused interface{ PeerRefused() bool }
	if errors.As(err, &refused) {
		return nil, engine.Fail(engine.PeerRefused, "find the plugin", id, "%w", err)
	}
	return nil, missing(id, "%w", err)
}

func (p *plugins) socketPath(where string) (string, error) {
	r, err := route.Parse("unix:" + where)
	if err != nil {
		return "", err
	}
	return (&route.Dialer{Route: r, Env: route.Env{RuntimeDir: p.dirs.session, Home: p.dirs.home}}).Path()
}

// An atSocket is an account whose plugin runs by itself: it is noticed when it
// comes.
type atSocket struct{ *kept }

// Watch tells when the plugin's socket appears.
func (a *atSocket) Watch(ctx context.Context, touch func(string)) error {
	path, err := a.plugins.socketPath(a.file.Socket)
	if err != nil {
		return err
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Add(filepath.Dir(path)); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Events:
			if !ok {
				return nil
			}
			if e.Name == path && e.Has(fsnotify.Create) {
				a.plugins.arrived(a.id)
				touch("")
			}
		case err, ok := <-w.Errors:
			if !ok {
				return nil
			}
			return err
		}
	}
}

// locate runs a program that knows where the plugin is. It prints the path of a
// socket, or passes a connected one back over its standard output.
func (p *plugins) locate(ctx context.Context, id string, argv []string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, locateTime)
	defer cancel()
	sock, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	defer sock.Close()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.WaitDelay = p.environment(), p.dirs.home, theirs, time.Second
	if err := cmd.Start(); err != nil {
		return nil, missing(id, "cannot run what tells where it is: %w", err)
	}
	theirs.Close()
	stop := context.AfterFunc(ctx, func() { sock.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	c, err := p.told(id, sock.(*net.UnixConn)) // of AF_UNIX
	if e := cmd.Wait(); e != nil && c == nil {
		err = missing(id, "%s tells where it is, and failed: %w", argv[0], e)
	}
	return c, err
}

// told takes what a program says of where a plugin is.
func (p *plugins) told(id string, from *net.UnixConn) (net.Conn, error) {
	text, oob := make([]byte, 4096), make([]byte, syscall.CmsgSpace(4*4))
	n, oobn, _, _, err := from.ReadMsgUnix(text, oob)
	if err != nil && err != io.EOF {
		return nil, missing(id, "the program told nothing: %w", err)
	}
	if files := passed(oob[:oobn]); len(files) > 0 {
		for _, f := range files {
			defer f.Close()
		}
		return net.FileConn(files[0])
	}
	line, _ := bufio.NewReader(io.MultiReader(strings.NewReader(string(text[:n])), from)).ReadString('\n')
	where := strings.TrimPrefix(strings.TrimSpace(line), "unix:")
	if where == "" {
		return nil, missing(id, "the program told nothing: it must print the path of a socket, or pass one back")
	}
	return p.dialSocket(id, where)
}

// passed are the files that came with a message.
func passed(oob []byte) (files []*os.File) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), fmt.Sprintf("passed %d", fd)))
		}
	}
	return files
}
