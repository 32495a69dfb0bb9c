package dbusapi

import (
	"context"
	"os"
	"sync"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

// A Streamer is a Host that has streams.
type Streamer interface {
	OpenStream(ctx context.Context, r StreamRequest) (Stream, error)
}

// A StreamRequest says what a stream is to carry.
type StreamRequest struct {
	Kind       string // "export" or "serve"
	Collection engine.MemberID
	Lines      bool // export as JSON, one item a line
	ReadOnly   bool
	Told       func(StreamEvent) // in order; it does not wait for the Stream
}

// A StreamEvent is one change of a stream.
type StreamEvent struct {
	Connected, Disconnected uint32 // numbers of connections
	Closed                  bool
	PID, UID                uint32
	Err                     error
	Hash                    string // of an export that came to its end
}

// A Stream is the host's part of one.
type Stream interface {
	Listen(addressType, access string, most uint32) (address, cookie string, err error)
	OpenFD() (*os.File, error)
	Bytes() (in, out uint64)
	Close()
}

// A stream is one Stream object.
type stream struct {
	face   *Face
	path   dbus.ObjectPath
	object *object
	work   Stream
	owner  string      // unique name; "" with keep
	free   func()      // of the quota and of following the owner
	stop   func() bool // no longer closes with the face

	mu   sync.Mutex
	gone bool
}

// maxStreams is how many one caller may have.
const maxStreams = 64

// openStream makes a Stream object. Its appearance is announced before the reply.
func (f *Face) openStream(c tree.Call, about dbus.ObjectPath, keep bool, r StreamRequest) (*stream, error) {
	host, ok := f.host.(Streamer)
	if !ok {
		return nil, notInThisBuild("streams")
	}
	caller := f.caller(c).Name
	give, err := f.quota.take(caller, "stream", maxStreams)
	if err != nil {
		return nil, err
	}
	f.streams.Add(1)
	n := f.lastStream.Add(1)
	s := &stream{face: f, path: dbus.ObjectPath(streamPrefix + itoa(n)), free: give}
	ready := make(chan struct{})
	r.Told = func(e StreamEvent) { <-ready; s.moved(e) }
	if s.work, err = host.OpenStream(c.Context(), r); err != nil {
		f.streams.Done()
		give()
		return nil, err
	}
	s.object = newObject(s.path, ifStream, props{
		"Id": n, "Kind": r.Kind, "Object": about, "State": "new", "Address": "", "AccessControl": "", "Connections": uint32(0),
		"Size": ^uint64(0), "ContentType": contentType(r), "Filename": fileName(r), "ContentHash": "", "InitialOffset": uint64(0),
		"TransferredBytes": uint64(0), "BytesIn": uint64(0), "BytesOut": uint64(0),
	})
	i := tree.Interface{Name: ifStream, Methods: map[string]any{
		"Listen": s.listen, "OpenFd": s.openFd, "Close": s.closeCall,
	}, Properties: s.object.properties(nil)}
	i.Properties["BytesIn"] = tree.Property{Get: func() any { in, _ := s.work.Bytes(); return in }}
	i.Properties["BytesOut"] = tree.Property{Get: func() any { _, out := s.work.Bytes(); return out }}
	if err = f.tree.Put(s.path, i); err == nil && !keep {
		var stop func()
		s.owner = caller
		if stop, err = f.follow(caller, func() { s.end() }); err == nil {
			s.free = func() { stop(); give() }
		}
	}
	close(ready)
	if err != nil {
		s.end()
		return nil, err
	}
	s.mu.Lock()
	s.stop = context.AfterFunc(f.closing, s.end)
	s.mu.Unlock()
	return s, nil
}

func itoa(n uint32) string { return string(jobPath(engine.JobID(n))[len(jobPrefix):]) }

func contentType(r StreamRequest) string {
	switch {
	case r.Kind != "export":
		return ""
	case r.Lines:
		return "application/jsonl"
	}
	return "text/plain"
}

func fileName(r StreamRequest) string {
	if r.Kind != "export" {
		return ""
	}
	return escape(string(r.Collection)) + map[bool]string{true: ".jsonl", false: ".txt"}[r.Lines]
}

// change announces properties; mu is held.
func (s *stream) change(values props) {
	old := *s.object.props.Load()
	all := props{}
	var names []string
	for k, v := range old {
		all[k] = v
	}
	for k, v := range values {
		if all[k] != v {
			names = append(names, k)
		}
		all[k] = v
	}
	s.object.props.Store(&all)
	_ = s.face.tree.Changed(s.path, ifStream, names...) // the bus is gone
}

// moved tells what happened to the stream.
func (s *stream) moved(e StreamEvent) {
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return
	}
	count := (*s.object.props.Load())["Connections"].(uint32)
	_, out := s.work.Bytes()
	switch {
	case e.Connected > 0:
		s.change(props{"Connections": count + 1, "State": "open"})
		s.tell("Connected", e.Connected, dict{"pid": dbus.MakeVariant(e.PID), "uid": dbus.MakeVariant(e.UID)})
	case e.Disconnected > 0:
		values := props{"Connections": count - 1, "TransferredBytes": out}
		if e.Hash != "" {
			values["ContentHash"] = e.Hash
		}
		s.change(values)
		name, why := "", ""
		if e.Err != nil {
			reply := ErrorReply(e.Err)
			name, why = reply.Name, reply.Error()
		}
		s.tell("Disconnected", e.Disconnected, name, why)
	}
	s.mu.Unlock()
	if e.Closed {
		s.end()
	}
}

func (s *stream) tell(signal string, args ...any) {
	if s.owner != "" {
		_ = s.face.tree.EmitTo(s.owner, s.path, ifStream, signal, args...)
	}
}

// end closes the stream and removes its object, once.
func (s *stream) end() {
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return
	}
	s.gone = true
	s.change(props{"State": "closed"})
	_ = s.face.tree.Drop(s.path)
	stop := s.stop
	s.mu.Unlock()
	s.free()
	if stop != nil {
		stop()
	}
	// Whoever calls may be one of those that closing waits for.
	go func() {
		defer s.face.streams.Done()
		s.work.Close()
	}()
}

func (s *stream) listen(addressType, access string, in dict) (string, string, error) {
	o := readOptions("listen", in)
	most := o.uint("max-connections", 0)
	if err := o.end(); err != nil {
		return "", "", err
	}
	if access == "" {
		access = "peer"
	}
	address, cookie, err := s.work.Listen(addressType, access, most)
	if err != nil {
		return "", "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone {
		s.change(props{"State": "listening", "Address": name(address), "AccessControl": access})
	}
	return name(address), cookie, nil
}

func (s *stream) openFd(in dict) (*os.File, error) {
	if err := noOptions("open a stream", in); err != nil {
		return nil, err
	}
	file, err := s.work.OpenFD()
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.gone {
			s.change(props{"AccessControl": "fd"})
		}
	}
	return file, err
}

func (s *stream) closeCall(in dict) error {
	if err := noOptions("close a stream", in); err != nil {
		return err
	}
	s.end()
	return nil
}

// collectionStream answers Export and Serve of a collection.
func (f *Face) collectionStream(c tree.Call, kind string, id engine.MemberID, in dict) (dbus.ObjectPath, error) {
	o := readOptions(kind+" "+name(string(id)), in)
	r := StreamRequest{Kind: kind, Collection: id}
	if kind == "export" {
		r.Lines = o.choice("format", "concatenated", "json-lines") == "json-lines"
	} else {
		r.ReadOnly = o.bool("read-only", false)
	}
	keep := o.bool("keep", false)
	if err := o.end(); err != nil {
		return "/", err
	}
	s, err := f.openStream(c, collectionPath(id), keep, r)
	if err != nil {
		return "/", err
	}
	return s.path, nil
}

// shellStream is the same for shells: the path of a socket.
func (f *Face) shellStream(c tree.Call, kind, what string) (string, error) {
	target, err := f.host.Lookup(unname(what))
	if err != nil {
		return "", err
	}
	if target.Collection == "" {
		return "", invalid(kind, "%q is no collection; it is written ACCOUNT/COLLECTION", what)
	}
	s, err := f.openStream(c, collectionPath(target.Collection), true, StreamRequest{Kind: kind, Collection: target.Collection})
	if err != nil {
		return "", err
	}
	address, _, err := s.listen("unix", "peer", nil)
	if err != nil {
		s.end()
	}
	return address, err
}
