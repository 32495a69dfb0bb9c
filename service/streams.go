package service

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/transports/stream"
)

var _ dbusapi.Streamer = (*host)(nil)

// A cargo is what a stream carries.
type cargo interface {
	// carry serves one connection to its end, from offset on.
	carry(ctx context.Context, c *stream.Conn, offset uint64) error
	// close is called once, when nothing is carried any more.
	close()
}

// mostConnections is how many a proxy or a server takes at once by itself.
const mostConnections = 64

// OpenStream makes a stream of a local collection, or to an account's server.
func (h *host) OpenStream(ctx context.Context, r dbusapi.StreamRequest) (dbusapi.Stream, error) {
	s := &streamOf{request: r}
	o := stream.Options{Dir: h.program.sockets.dir, Handle: s.carry, Told: s.told}
	var err error
	switch r.Kind {
	case "export":
		o.Once, s.offsets = true, true
		s.cargo, err = h.openExport(ctx, r, s.know)
	case "import":
		o.Once, s.offsets = true, r.Size != dbusapi.UnknownSize
		s.cargo, err = h.openImport(ctx, r, s.know)
	case "serve":
		o.Max, o.HTTP = mostConnections, true
		s.cargo, err = h.openServe(ctx, r)
	case "proxy":
		o.Max, o.HTTP = mostConnections, true
		s.cargo, err = h.openProxy(r)
	case "plugin":
		o.Once = true
		s.cargo, err = h.openServed(ctx, r)
	case "tunnel":
		o.Max = mostConnections
		s.cargo, err = h.openTunnel(r)
	default:
		err = engine.Fail(engine.NotSupported, "open a stream of kind", r.Kind, "")
	}
	if err != nil {
		return nil, err
	}
	s.Stream = stream.New(o)
	return s, nil
}

// A streamOf is one stream with what it carries.
type streamOf struct {
	*stream.Stream
	request dbusapi.StreamRequest
	cargo   cargo
	offsets bool // it may begin in the middle
	once    sync.Once

	mu     sync.Mutex
	offset uint64
}

func (s *streamOf) Listen(d dbusapi.StreamDoor) (address, cookie, access string, err error) {
	if d.Max > 1 && s.request.Kind == "import" {
		return "", "", "", engine.Fail(engine.Invalid, "listen", "", "an import has one connection")
	}
	if err = s.begin(d.Offset); err != nil {
		return "", "", "", err
	}
	address, cookie, access, err = s.Stream.Listen(stream.Door{Address: d.Address, Access: d.Access, SourcePort: d.SourcePort, Max: int(d.Max)})
	return address, cookie, access, streamError(err)
}

func (s *streamOf) OpenFD(offset uint64) (*os.File, error) {
	if err := s.begin(offset); err != nil {
		return nil, err
	}
	f, err := s.Stream.OpenFD()
	return f, streamError(err)
}

// begin keeps where the next connection begins.
func (s *streamOf) begin(offset uint64) error {
	if offset > 0 && !s.offsets {
		return engine.Fail(engine.NotSupported, "open the stream", "", "only an export, and an import whose size is told, can begin in the middle")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset = offset
	return nil
}

func (s *streamOf) carry(ctx context.Context, c *stream.Conn) error {
	s.mu.Lock()
	offset := s.offset
	s.mu.Unlock()
	return carried(s.cargo.carry(ctx, c, offset))
}

// carried gives an error of a connection its kind.
func carried(err error) error {
	lost := errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, os.ErrDeadlineExceeded)
	if _, known := errors.AsType[*engine.Error](err); known || err == nil || !lost && !errors.Is(err, stream.ErrMore) {
		return err
	}
	return engine.Fail(engine.ConnectionLost, "carry the stream", "", "%w", err)
}

func streamError(err error) error {
	switch {
	case errors.Is(err, stream.ErrBusy):
		return engine.Fail(engine.Busy, "open the stream", "", "%w", err)
	case errors.Is(err, stream.ErrUnknown):
		return engine.Fail(engine.NotSupported, "listen", "", "%w", err)
	case errors.Is(err, stream.ErrInvalid):
		return engine.Fail(engine.Invalid, "listen", "", "%w", err)
	}
	return err
}

func (s *streamOf) Close() {
	s.Stream.Close()
	s.once.Do(s.cargo.close)
}

func (s *streamOf) told(e stream.Event) {
	s.request.Told(dbusapi.StreamEvent{
		Connected: e.Connected, Disconnected: e.Disconnected, Moved: e.Moved, Closed: e.Closed,
		PID: uint32(max(e.Cred.PID, 0)), UID: e.Cred.UID, Err: e.Err,
	})
}

// know tells what has become known of the content.
func (s *streamOf) know(f dbusapi.StreamFacts) { s.request.Told(dbusapi.StreamEvent{Facts: &f}) }
