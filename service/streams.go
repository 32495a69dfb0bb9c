package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver"
	"davbus.org/davbus/engine/keeper"
	"davbus.org/davbus/transports/stream"
)

var _ dbusapi.Streamer = (*host)(nil)

// OpenStream makes a stream of a local collection.
func (h *host) OpenStream(ctx context.Context, r dbusapi.StreamRequest) (dbusapi.Stream, error) {
	opened, err := h.Keeper.OpenLocal(ctx, r.Collection)
	if err != nil {
		return nil, err
	}
	s := &streamOf{opened: opened, request: r}
	s.options = stream.Options{Dir: h.program.sockets.dir, Once: r.Kind == "export", Max: 64, Handle: s.export, Told: s.told}
	if r.Kind == "serve" {
		s.options.Handle = s.serve
		s.http = &http.Server{Handler: davserver.New(davserver.Options{Backend: oneCollection{opened}, ReadOnly: r.ReadOnly || !opened.Collection.Writable})}
	}
	s.Stream = stream.New(s.options)
	return s, nil
}

// A streamOf is one stream with what it carries.
type streamOf struct {
	*stream.Stream
	options stream.Options
	opened  *keeper.Opened
	request dbusapi.StreamRequest
	http    *http.Server
	once    sync.Once

	hash string // of the one connection of an export; set before its end is told
}

func (s *streamOf) Listen(addressType, access string, _ uint32) (string, string, error) {
	address, cookie, err := s.Stream.Listen(addressType, access)
	return address, cookie, streamError(err)
}

func (s *streamOf) OpenFD() (*os.File, error) {
	f, err := s.Stream.OpenFD()
	return f, streamError(err)
}

func streamError(err error) error {
	switch {
	case errors.Is(err, stream.ErrBusy):
		return engine.Fail(engine.Busy, "open the stream", "", "%w", err)
	case errors.Is(err, stream.ErrUnknown):
		return engine.Fail(engine.NotSupported, "listen", "", "%w", err)
	}
	return err
}

func (s *streamOf) Close() {
	s.Stream.Close()
	s.once.Do(s.opened.Close)
}

func (s *streamOf) told(e stream.Event) {
	out := dbusapi.StreamEvent{Connected: e.Connected, Disconnected: e.Disconnected, Closed: e.Closed, PID: uint32(e.Cred.PID), UID: e.Cred.UID, Err: e.Err}
	if e.Disconnected > 0 && e.Err == nil {
		out.Hash = s.hash
	}
	s.request.Told(out)
}

// export writes every item, one after the other, in the order of their names.
func (s *streamOf) export(ctx context.Context, c *stream.Conn) error {
	storage, err := s.opened.Source.Open(s.opened.Collection)
	if err != nil {
		return err
	}
	var refs []engine.Ref
	for head, err := range storage.List(ctx) {
		if err != nil {
			return err
		}
		refs = append(refs, head.Ref)
	}
	slices.Sort(refs)
	sum := sha256.New()
	out := io.MultiWriter(c, sum)
	for some := range slices.Chunk(refs, 64) {
		for item, err := range storage.Fetch(ctx, some) {
			if err != nil {
				return err
			}
			if err := s.write(out, item); err != nil {
				return err
			}
		}
	}
	s.hash = hex.EncodeToString(sum.Sum(nil))
	return nil
}

func (s *streamOf) write(out io.Writer, item engine.Item) error {
	text := item.Text
	if s.request.Lines {
		line, err := json.Marshal(map[string]string{"item": string(item.Ref), "text": string(item.Text)})
		if err != nil {
			return err
		}
		text = append(line, '\n')
	}
	_, err := out.Write(text)
	return err
}

// serve speaks HTTP on one connection to its end.
func (s *streamOf) serve(ctx context.Context, c *stream.Conn) error {
	l := &oneConn{conn: c, closed: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	server := &http.Server{Handler: s.http.Handler, ReadHeaderTimeout: s.http.ReadHeaderTimeout}
	server.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			l.Close()
		}
	}
	if err := server.Serve(l); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("cannot serve: %w", err)
	}
	return nil
}

// oneConn is a listener that one connection comes from, and that ends with it.
type oneConn struct {
	conn   net.Conn
	given  sync.Once
	end    sync.Once
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	var c net.Conn
	l.given.Do(func() { c = l.conn })
	if c != nil {
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { l.end.Do(func() { close(l.closed) }); return nil }
func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }

// oneCollection serves a single collection. An edit there is the member's, and
// the others follow.
type oneCollection struct{ opened *keeper.Opened }

func (b oneCollection) Look(context.Context, bool) ([]engine.Collection, error) {
	return []engine.Collection{b.opened.Collection}, nil
}

func (b oneCollection) Open(c engine.Collection) (engine.Storage, error) {
	s, err := b.opened.Source.Open(c)
	return edited{s, b.opened.Edited}, err
}

func (b oneCollection) Make(context.Context, engine.Collection) (engine.Collection, error) {
	return engine.Collection{}, engine.Fail(engine.NotSupported, "make a collection", "", "one collection is served here; make others with Account.CreateCollection")
}

// edited tells of writes.
type edited struct {
	engine.Storage
	tell func()
}

func (e edited) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	return func(yield func(int, engine.Outcome) bool) {
		defer e.tell()
		e.Storage.Apply(ctx, writes)(yield)
	}
}
