package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/engine"
	sock "davbus.org/davbus/transports/private"
)

// cookieTime is how long a cookie is good for.
const cookieTime = 10 * time.Second

// maxCookie bounds the first line of who comes to the door.
const maxCookie = 128

// A ticket lets one connection in at the door.
type ticket struct {
	id    string
	owner string // who registered; "" if we asked the plugin to come
	pid   uint32 // whose process it must be; 0 if that is not known
	until time.Time
	came  chan net.Conn // of one place
}

// A registration is a program that announced itself as a plugin.
type registration struct {
	owner   dbusapi.Caller
	kinds   []string
	waiting []net.Conn // connected, and no account uses them yet
}

// admit takes one connection that came to the door: its first line is a cookie.
func (p *plugins) admit(ctx context.Context, c *sock.Conn) error {
	if err := c.SetReadDeadline(time.Now().Add(cookieTime)); err != nil {
		return err
	}
	var cookie []byte
	for b := make([]byte, 1); ; {
		if _, err := c.Read(b); err != nil {
			return fmt.Errorf("it sent no cookie: %w", err)
		}
		if b[0] == '\n' {
			break
		}
		if cookie = append(cookie, b[0]); len(cookie) > maxCookie {
			return errors.New("it sent no cookie, but something longer")
		}
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	p.mu.Lock()
	t := p.tickets[string(cookie)]
	delete(p.tickets, string(cookie))
	p.mu.Unlock()
	switch {
	case t == nil:
		return errors.New("its cookie is none of ours, or was used already")
	case time.Now().After(t.until):
		return errors.New("its cookie is too old")
	case t.pid != 0 && c.Cred.PID > 0 && int64(t.pid) != int64(c.Cred.PID):
		return fmt.Errorf("its cookie was given to process %d", t.pid)
	}
	used := &doorConn{Conn: c, closed: make(chan struct{})}
	if t.owner != "" {
		if !p.offer(t.id, t.owner, used) {
			return errors.New("its program has unregistered meanwhile")
		}
		p.arrived(t.id)
	} else {
		t.came <- used
	}
	select { // the door closes what its handler leaves
	case <-used.closed:
	case <-ctx.Done():
	}
	return nil
}

// A doorConn is a connection through the door; its Close lets the door go on.
type doorConn struct {
	*sock.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *doorConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}

// newTicket gives a cookie for one connection.
func (p *plugins) newTicket(id, owner string, pid uint32) (cookie string, t *ticket) {
	t = &ticket{id: id, owner: owner, pid: pid, until: time.Now().Add(cookieTime), came: make(chan net.Conn, 1)}
	cookie = rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, old := range p.tickets {
		if time.Now().After(old.until) {
			delete(p.tickets, c)
		}
	}
	p.tickets[cookie] = t
	return cookie, t
}

// register notes that a program is a plugin.
func (p *plugins) register(r dbusapi.PluginRegistration) error {
	if !pluginID.MatchString(r.ID) {
		return engine.Fail(engine.Invalid, "register the plugin", r.ID, "its id must be a letter, then at most 63 letters, digits and _")
	}
	p.mu.Lock()
	old := p.registered[r.ID]
	if old != nil && old.owner.Name != r.Caller.Name {
		p.mu.Unlock()
		return engine.Fail(engine.AlreadyExists, "register the plugin", r.ID, "another program has registered it")
	}
	if old == nil {
		p.registered[r.ID] = &registration{owner: r.Caller, kinds: r.Kinds}
	}
	_, known := p.files[r.ID]
	p.mu.Unlock()
	p.touch()
	if known {
		return nil
	}
	f := pluginFile{Name: r.Name, Kinds: r.Kinds}
	if err := f.remember(p.dirs, r.ID); err != nil {
		p.unregister(r.ID, r.Caller)
		return err
	}
	return p.learn(r.ID, f)
}

// offer has a connection of a registered program wait for an account. It may
// have unregistered meanwhile.
func (p *plugins) offer(id, owner string, c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.registered[id]
	if r == nil || r.owner.Name != owner {
		return false
	}
	r.waiting = append(r.waiting, c)
	return true
}

// waiting takes a connection of a registered program, and gives its name.
func (p *plugins) waiting(id string) (net.Conn, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.registered[id]
	if r == nil || len(r.waiting) == 0 {
		return nil, ""
	}
	c := r.waiting[0]
	r.waiting = r.waiting[1:]
	return c, r.owner.Name
}

// unregister forgets a program, with what it is connected by.
func (p *plugins) unregister(id string, by dbusapi.Caller) bool {
	p.mu.Lock()
	r := p.registered[id]
	if r == nil || r.owner.Name != by.Name {
		p.mu.Unlock()
		return false
	}
	delete(p.registered, id)
	var using []*kept
	for k := range p.kept {
		if k.id == id && k.conn != nil && k.busName == by.Name {
			using = append(using, k)
		}
	}
	p.mu.Unlock()
	for _, c := range r.waiting {
		c.Close()
	}
	for _, k := range using {
		k.Disconnect()
	}
	p.touch()
	return true
}

// socketPair gives both ends of a connection, one for another program.
func socketPair() (net.Conn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "plugin"), os.NewFile(uintptr(fds[1]), "plugin")
	defer ours.Close()
	c, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return c, theirs, nil
}

// close ends what waits for an account that never came.
func (p *plugins) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.registered {
		for _, c := range r.waiting {
			c.Close()
		}
	}
}
