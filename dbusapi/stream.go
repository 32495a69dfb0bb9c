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
	Kind       string           // "export", "import", "serve", "proxy", "plugin" or "tunnel"
	Collection engine.MemberID  // of the first three
	Account    engine.AccountID // of a proxy or a plugin
	Caller     Caller

	Lines bool   // export as JSON, one item a line
	Delta bool   // export what changed since the revision Since, everything for "",
	Since string // and the revision that this came to

	Replace, DryRun bool    // import
	SHA256          string  // of what is imported; "" for any
	Size            uint64  // of what is imported; UnknownSize for any
	Confirm         *uint32 // deletions that the caller has agreed to

	ReadOnly   bool   // serve, proxy, plugin
	PathPrefix string // proxy

	To, Service string    // tunnel: to whom, and to what
	Taken       func(any) // is told what the offer's parameters are

	Told func(StreamEvent) // in order; it does not wait for the Stream
}

// UnknownSize is what a stream's Size is while it is not known.
const UnknownSize = ^uint64(0)

// A StreamEvent is one change of a stream.
type StreamEvent struct {
	Connected, Disconnected uint32 // numbers of connections
	Moved                   bool   // bytes moved
	Closed                  bool
	PID, UID                uint32
	Err                     error
	Facts                   *StreamFacts // what is known of the content from now on
}

// StreamFacts are what is known of a stream's content.
type StreamFacts struct {
	Size   uint64
	Hash   string // SHA-256 in hexadecimal
	Offset uint64
	Job    engine.JobID // that an import became
}

// A StreamDoor is how a stream is to be reached; what is zero is as usual.
type StreamDoor struct {
	Address, Access string
	Offset          uint64
	SourcePort      uint16
	Max             uint32
}

// A Stream is the host's part of one.
type Stream interface {
	Listen(d StreamDoor) (address, cookie, access string, err error)
	OpenFD(offset uint64) (*os.File, error)
	Bytes() (in, out uint64)
	Close()
}

// A stream is one Stream object.
type stream struct {
	face   *Face
	kind   string
	path   dbus.ObjectPath
	object *object
	work   Stream
	owner  string      // unique name; "" with keep
	free   func()      // of the quota and of following the owner
	stop   func() bool // no longer closes with the face
	ending sync.Once
	ended  chan struct{} // closed when the object is gone

	mu   sync.Mutex
	gone bool
	// What had moved when InitialOffset was set: an earlier connection's.
	inBefore, outBefore uint64
}

// maxStreams is how many one caller may have.
const maxStreams = 64

// openStream makes a Stream object. Its appearance is announced before the reply.
func (f *Face) openStream(c tree.Call, about dbus.ObjectPath, keep bool, r StreamRequest) (*stream, error) {
	host, ok := f.host.(Streamer)
	if !ok {
		return nil, notInThisBuild("streams")
	}
	r.Caller = f.caller(c)
	caller := r.Caller.Name
	give, err := f.quota.take(caller, "stream", maxStreams)
	if err != nil {
		return nil, err
	}
	f.streams.Add(1)
	n := f.lastStream.Add(1)
	s := &stream{face: f, kind: r.Kind, path: dbus.ObjectPath(streamPrefix + itoa(n)), free: give, ended: make(chan struct{})}
	ready := make(chan struct{})
	r.Told = func(e StreamEvent) { <-ready; s.moved(e) }
	if s.work, err = host.OpenStream(c.Context(), r); err != nil {
		f.streams.Done()
		give()
		return nil, err
	}
	s.object = newObject(s.path, ifStream, props{
		"Id": n, "Kind": r.Kind, "Object": about, "State": "new", "Address": "", "AccessControl": "", "Connections": uint32(0),
		"Size": r.size(), "ContentType": contentType(r), "Filename": fileName(r), "ContentHash": text(r.SHA256), "InitialOffset": uint64(0),
		"Job": dbus.ObjectPath("/"), "TransferredBytes": uint64(0), "BytesIn": uint64(0), "BytesOut": uint64(0),
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

// size is what is known of the content before it comes.
func (r StreamRequest) size() uint64 {
	if r.Kind == "import" {
		return r.Size
	}
	return UnknownSize
}

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

// moved tells what happened to the stream. A job is named once its object is there
// to be asked.
func (s *stream) moved(e StreamEvent) {
	if e.Facts != nil && e.Facts.Job != 0 {
		s.face.settle()
	}
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return
	}
	count := (*s.object.props.Load())["Connections"].(uint32)
	switch {
	case e.Connected > 0:
		s.change(props{"Connections": count + 1, "State": "open"})
		s.tell("Connected", e.Connected, dict{"pid": dbus.MakeVariant(e.PID), "uid": dbus.MakeVariant(e.UID)})
	case e.Facts != nil:
		s.inBefore, s.outBefore = s.work.Bytes()
		s.change(props{"Size": e.Facts.Size, "ContentHash": text(e.Facts.Hash), "InitialOffset": e.Facts.Offset, "Job": noJob(e.Facts.Job)})
	case e.Moved:
		s.change(props{"TransferredBytes": s.transferred()})
	case e.Disconnected > 0:
		s.change(props{"Connections": count - 1, "TransferredBytes": s.transferred()})
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

func noJob(id engine.JobID) dbus.ObjectPath {
	if id == 0 {
		return "/"
	}
	return jobPath(id)
}

// transferred is how far into its content a stream has come.
func (s *stream) transferred() uint64 {
	in, out := s.work.Bytes()
	switch offset := (*s.object.props.Load())["InitialOffset"].(uint64); s.kind {
	case "export":
		return offset + out - s.outBefore
	case "import":
		return offset + in - s.inBefore
	}
	return in + out
}

func (s *stream) tell(signal string, args ...any) {
	if s.owner != "" {
		_ = s.face.tree.EmitTo(s.owner, s.path, ifStream, signal, args...)
	}
}

// end closes the stream and removes its object, once. It does not wait: whoever
// calls may be one of those that closing waits for.
func (s *stream) end() {
	s.ending.Do(func() {
		go func() {
			defer s.face.streams.Done()
			defer close(s.ended)
			s.work.Close() // which tells of the connections that it breaks off
			s.remove()
		}()
	})
}

func (s *stream) remove() {
	s.mu.Lock()
	s.gone = true
	s.change(props{"State": "closed"})
	_ = s.face.tree.Drop(s.path) // the bus is gone
	stop := s.stop
	s.mu.Unlock()
	s.free()
	if stop != nil {
		stop()
	}
}
