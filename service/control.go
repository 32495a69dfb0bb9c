package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/dbusapi/conn/callers"
	"davbus.org/davbus/service/config"
	"davbus.org/davbus/transports/control"
	"davbus.org/davbus/transports/peer"
	sock "davbus.org/davbus/transports/private"
)

// sockets are the private sockets of the program.
type sockets struct {
	dir     *sock.Dir
	control *sock.Listener
	intro   *sock.Listener // nil if that is off
	ocapn   *sock.Listener // the same
	plugins *sock.Listener
}

// listen opens the control socket. Clients wait until it is served. It is the one
// that was handed over, if one was.
func (p *program) listen(handed *os.File, cfg config.Daemon) (*sockets, error) {
	dir, err := sock.OpenDir(p.dirs.runtime)
	if err != nil {
		return nil, err
	}
	o := control.Options()
	if o.Adopt = handed; handed != nil {
		defer handed.Close()
	}
	o.Refused = p.refused("control")
	s := &sockets{dir: dir}
	if s.control, err = dir.Listen("control", o); err == nil && cfg.IntroductionSocket {
		s.intro, err = dir.Listen("intro", sock.Options{Refused: p.refused("introduction")})
	}
	if err == nil && cfg.OCapNSocket {
		s.ocapn, err = dir.Listen("ocapn", sock.Options{Refused: p.refused("OCapN")})
	}
	if err == nil {
		s.plugins, err = dir.Listen("plugins", sock.Options{MaxClients: 256, Refused: p.refused("plugin")})
	}
	if err != nil {
		s.close()
		return nil, err
	}
	p.plugins.door = s.plugins.Path()
	return s, nil
}

// refused tells of clients of a socket that are turned away.
func (p *program) refused(socket string) func(peer.Cred, error) {
	return func(cred peer.Cred, reason error) {
		p.log.fault(fmt.Sprintf("a client of the %s socket was refused: uid %d, pid %d", socket, cred.UID, cred.PID), reason)
	}
}

// serve serves the sockets until ctx ends.
func (s *sockets) serve(ctx context.Context, p *program, face *dbusapi.Face) {
	var work sync.WaitGroup
	defer work.Wait()
	if s.intro != nil {
		work.Go(func() { s.serveIntroductions(ctx, p) })
	}
	if s.ocapn != nil {
		work.Go(func() { s.serveOCapN(ctx, p) })
	}
	server := &control.Server{Listener: s.control, Registry: registry{face}, Ended: func(cred peer.Cred, err error) {
		if !errors.Is(err, context.Canceled) {
			p.log.fault(fmt.Sprintf("a client of the control socket was sent away: pid %d", cred.PID), err)
		}
	}}
	if err := server.Serve(ctx); err != nil {
		p.log.fault("the control socket is closed; everything else goes on", err)
	}
}

// servePlugins lets plugins in until ctx ends.
func (s *sockets) servePlugins(ctx context.Context, p *program) {
	err := s.plugins.Serve(ctx, func(ctx context.Context, c *sock.Conn) {
		if err := p.plugins.admit(ctx, c); err != nil {
			p.log.fault(fmt.Sprintf("a plugin was sent away: pid %d", c.Cred.PID), err)
		}
	})
	if err != nil {
		p.log.fault("the socket for plugins is closed; everything else goes on", err)
	}
}

func (s *sockets) close() {
	for _, l := range []*sock.Listener{s.control, s.intro, s.ocapn, s.plugins} {
		if l != nil {
			l.Close()
		}
	}
	s.dir.Close()
}

// registry is the face's commands, as the control socket takes them.
type registry struct{ face *dbusapi.Face }

func (r registry) Commands() any { return map[string]any{"commands": r.face.Commands()} }

func (r registry) Join(cred peer.Cred) control.Caller {
	return local{r.face.Join(callers.Process(cred.PID))}
}

type local struct{ *dbusapi.Local }

func (l local) Begin(ctx context.Context, method string, params json.RawMessage) (func() (any, error), bool) {
	return l.Local.Begin(ctx, method, params)
}

func (l local) Subscribe(tell func(control.Event)) ([]control.Object, func(), error) {
	objects, stop, err := l.Local.Subscribe(func(e dbusapi.Event) { tell(control.Event{Data: e, Losable: e.Losable}) })
	var out []control.Object
	for _, o := range objects {
		out = append(out, control.Object{Path: o.Path, Data: o.Interfaces})
	}
	return out, stop, err
}
