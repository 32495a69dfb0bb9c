package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/dbusapi/conn/callers"
	"davbus.org/davbus/transports/control"
	"davbus.org/davbus/transports/peer"
	sock "davbus.org/davbus/transports/private"
)

// sockets are the private sockets of the program.
type sockets struct {
	dir     *sock.Dir
	control *sock.Listener
}

// listen opens the control socket. Clients wait until it is served. It is the one
// that was handed over, if one was.
func (p *program) listen(handed *os.File) (*sockets, error) {
	dir, err := sock.OpenDir(p.dirs.runtime)
	if err != nil {
		return nil, err
	}
	o := control.Options()
	if o.Adopt = handed; handed != nil {
		defer handed.Close()
	}
	o.Refused = func(cred peer.Cred, reason error) {
		p.log.fault(fmt.Sprintf("a client of the control socket was refused: uid %d, pid %d", cred.UID, cred.PID), reason)
	}
	l, err := dir.Listen("control", o)
	if err != nil {
		dir.Close()
		return nil, err
	}
	return &sockets{dir, l}, nil
}

// serve serves the control socket until ctx ends.
func (s *sockets) serve(ctx context.Context, p *program, face *dbusapi.Face) {
	server := &control.Server{Listener: s.control, Registry: registry{face}, Ended: func(cred peer.Cred, err error) {
		if !errors.Is(err, context.Canceled) {
			p.log.fault(fmt.Sprintf("a client of the control socket was sent away: pid %d", cred.PID), err)
		}
	}}
	if err := server.Serve(ctx); err != nil {
		p.log.fault("the control socket is closed; everything else goes on", err)
	}
}

func (s *sockets) close() {
	s.control.Close()
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
