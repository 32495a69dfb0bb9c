package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/godbus/dbus/v5"
)

// An Agent answers questions for the user. Its context ends when a question is
// moot. ErrNo is the user's no; any other error has the next agent asked.
type Agent interface {
	// Secret gives a secret. Reason is "missing", "rejected" or "expired".
	Secret(ctx context.Context, account, name, reason string, details Props) ([]byte, error)

	// Certificate says whether to remember exactly this certificate.
	Certificate(ctx context.Context, account, host, pem string, problems []string) (pin bool, err error)

	// Deletions says whether held deletions are to happen; false puts the items
	// back.
	Deletions(ctx context.Context, group string, count, total uint32) (proceed bool, err error)

	// Conflict chooses as Conflict.Resolve takes it, or "later".
	Conflict(ctx context.Context, conflict dbus.ObjectPath, details Props) (choice string, err error)
}

// ErrNo is how an agent says that the user said no.
var ErrNo = errors.New("the user said no")

const (
	agentPath  = dbus.ObjectPath("/org/davbus/Agent")
	agentIface = Name + ".Agent"
)

// ServeAgent registers an agent and answers until the context ends. ready is
// called after each registration: a daemon that was started anew is told again.
// Options are those of RegisterAgent.
func (c *Client) ServeAgent(ctx context.Context, a Agent, o Options, ready func()) error {
	s := &agentServer{client: c, agent: a, ctx: ctx, open: map[string]context.CancelFunc{}}
	if err := c.conn.Export(s, agentPath, agentIface); err != nil {
		return err
	}
	defer c.conn.Export(nil, agentPath, agentIface)
	defer s.end()
	owners := make(chan *dbus.Signal, 16)
	c.conn.Signal(owners)
	defer c.conn.RemoveSignal(owners)
	rule := []dbus.MatchOption{dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, Name)}
	if err := c.conn.AddMatchSignal(rule...); err != nil {
		return err
	}
	defer c.conn.RemoveMatchSignal(rule...)
	for {
		if err := c.Call(ctx, Root, Name+".Manager.RegisterAgent", []any{agentPath, o.variants()}); err != nil {
			return err
		}
		ready()
		if err := s.awaitRestart(owners); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return c.Call(context.WithoutCancel(ctx), Root, Name+".Manager.UnregisterAgent", []any{agentPath})
		}
	}
}

// awaitRestart waits until the daemon has gone and another one is there, or the
// context has ended.
func (s *agentServer) awaitRestart(owners <-chan *dbus.Signal) error {
	for {
		select {
		case <-s.ctx.Done():
			return nil
		case m, ok := <-owners:
			if !ok {
				return errors.New("the connection to the bus is lost")
			}
			if m.Name == "org.freedesktop.DBus.NameOwnerChanged" && len(m.Body) == 3 && m.Body[0] == Name && m.Body[2] != "" {
				return nil
			}
		}
	}
}

// An agentServer is an agent as the daemon calls it.
type agentServer struct {
	client *Client
	agent  Agent
	ctx    context.Context

	mu    sync.Mutex
	open  map[string]context.CancelFunc // by request
	given *os.File                      // what the last answer handed over
}

func (s *agentServer) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.given != nil {
		s.given.Close()
		s.given = nil
	}
}

// asked runs one question of the daemon, and of nobody else: a question is an
// easy way to get at a password.
func (s *agentServer) asked(from dbus.Sender, request string, answer func(context.Context) error) *dbus.Error {
	var owner string
	err := s.client.conn.BusObject().CallWithContext(s.ctx, "org.freedesktop.DBus.GetNameOwner", 0, Name).Store(&owner)
	if err != nil || owner != string(from) {
		return dbus.NewError("org.freedesktop.DBus.Error.AccessDenied", []any{"only the owner of " + Name + " may ask"})
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.mu.Lock()
	s.open[request] = cancel
	s.mu.Unlock()
	err = answer(ctx)
	s.mu.Lock()
	delete(s.open, request)
	s.mu.Unlock()
	switch {
	case errors.Is(err, ErrNo):
		return dbus.NewError(Name+".Error.Cancelled", []any{err.Error()})
	case err != nil:
		return dbus.NewError("org.freedesktop.DBus.Error.Failed", []any{err.Error()})
	}
	return nil
}

func (s *agentServer) RequestSecret(from dbus.Sender, request string, account dbus.ObjectPath, name, reason string, details map[string]dbus.Variant) (fd dbus.UnixFD, e *dbus.Error) {
	e = s.asked(from, request, func(ctx context.Context) error {
		id, err := s.id(ctx, account, "Account")
		if err != nil {
			return err
		}
		secret, err := s.agent.Secret(ctx, id, name, reason, details)
		if err != nil {
			return err
		}
		defer clear(secret)
		fd, err = s.hand(secret)
		return err
	})
	return fd, e
}

// hand puts a secret into a pipe, which takes it without a reader. The end that
// is handed over must stay open until the reply is on its way: until the next
// one.
func (s *agentServer) hand(secret []byte) (dbus.UnixFD, error) {
	if len(secret) > 32<<10 {
		return 0, fmt.Errorf("the secret is longer than any")
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	_, err = w.Write(secret)
	w.Close()
	s.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given = r
	return dbus.UnixFD(r.Fd()), err
}

func (s *agentServer) ConfirmCertificate(from dbus.Sender, request string, account dbus.ObjectPath, host, pem string, problems []string) (decision string, e *dbus.Error) {
	e = s.asked(from, request, func(ctx context.Context) error {
		id, err := s.id(ctx, account, "Account")
		if err != nil {
			return err
		}
		decision = "reject"
		pin, err := s.agent.Certificate(ctx, id, host, pem, problems)
		if pin {
			decision = "pin"
		}
		return err
	})
	return decision, e
}

func (s *agentServer) ConfirmDeletions(from dbus.Sender, request string, group dbus.ObjectPath, count, total uint32) (proceed bool, e *dbus.Error) {
	e = s.asked(from, request, func(ctx context.Context) error {
		id, err := s.id(ctx, group, "Group")
		if err == nil {
			proceed, err = s.agent.Deletions(ctx, id, count, total)
		}
		return err
	})
	return proceed, e
}

func (s *agentServer) ResolveConflict(from dbus.Sender, request string, conflict dbus.ObjectPath, details map[string]dbus.Variant) (choice string, e *dbus.Error) {
	e = s.asked(from, request, func(ctx context.Context) (err error) {
		choice, err = s.agent.Conflict(ctx, conflict, details)
		return err
	})
	return choice, e
}

func (s *agentServer) id(ctx context.Context, path dbus.ObjectPath, iface string) (id string, err error) {
	err = s.client.Get(ctx, path, Name+"."+iface, "Id", &id)
	return id, err
}

// Cancel ends a question; what nobody asks about is no error.
func (s *agentServer) Cancel(request string) *dbus.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.open[request]; cancel != nil {
		cancel()
	}
	return nil
}

// Release says that the daemon stops; another one may come.
func (s *agentServer) Release() *dbus.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cancel := range s.open {
		cancel()
	}
	return nil
}
