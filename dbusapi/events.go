package dbusapi

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"davbus.org/davbus/engine"
)

const (
	maxLines   = 1024             // lines that wait for one slow reader
	lastChance = 30 * time.Second // for a slow reader to take the rest once the job is done
)

// A line is one JSON object of OpenEvents. Only what applies is in it.
type line struct {
	Event        string `json:"event"` // "state", "progress", "item", "omitted", "lost", "done"
	Job          uint32 `json:"job,omitempty"`
	State        string `json:"state,omitempty"`
	Phase        string `json:"phase,omitempty"`
	Percent      *int32 `json:"percent,omitempty"`
	ItemsDone    uint64 `json:"items-done,omitempty"`
	ItemsTotal   uint64 `json:"items-total,omitempty"`
	BytesDone    uint64 `json:"bytes-done,omitempty"`
	Action       string `json:"action,omitempty"`
	Member       string `json:"member,omitempty"`
	Item         string `json:"item,omitempty"`
	Count        uint32 `json:"count,omitempty"`
	Result       string `json:"result,omitempty"`
	ErrorName    string `json:"error-name,omitempty"`
	ErrorMessage string `json:"error-message,omitempty"`
}

func stateLine(s *engine.JobState, p engine.Progress) line {
	l := progressLine(p)
	l.Event, l.Job, l.State = "state", uint32(s.ID), text(s.State)
	return l
}

func progressLine(p engine.Progress) line {
	percent := p.Percent()
	return line{Event: "progress", Phase: text(p.Phase), Percent: &percent, ItemsDone: p.ItemsDone, ItemsTotal: p.ItemsTotal, BytesDone: p.BytesDone}
}

func itemLine(s engine.ItemStep) line {
	return line{Event: "item", Action: text(s.Action), Member: name(string(s.Member)), Item: name(s.Item)}
}

func doneLine(s *engine.JobState) line {
	return line{Event: "done", Job: uint32(s.ID), Result: text(s.Result), ErrorName: failureName(s.Failure), ErrorMessage: message(s.Failure.Message)}
}

// An eventReader is one open descriptor of OpenEvents. The publisher pushes
// lines and never waits; a goroutine writes them. A reader that is too slow
// loses lines and is told how many.
type eventReader struct {
	conn  net.Conn
	lines chan line // closed at the end of the job

	mu   sync.Mutex
	lost uint32
	last *line // after all others, whatever was lost
}

func (r *eventReader) push(l line) {
	select {
	case r.lines <- l:
	default:
		r.mu.Lock()
		r.lost++
		r.mu.Unlock()
	}
}

// write carries lines to the reader until the job has ended, the reader is gone,
// or the service closes.
func (r *eventReader) write(closing <-chan struct{}, backlog []line) {
	defer r.conn.Close()
	out := json.NewEncoder(r.conn)
	for _, l := range backlog {
		if out.Encode(l) != nil {
			return
		}
	}
	for ended := false; !ended; {
		select {
		case l, more := <-r.lines:
			if ended = !more; more && (r.tellLost(out) != nil || out.Encode(l) != nil) {
				return
			}
		case <-closing:
			return
		}
	}
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	if r.tellLost(out) == nil && last != nil {
		out.Encode(last) // an error here means that the reader is gone, and so are we
	}
}

// tellLost says how many lines were lost before the next one.
func (r *eventReader) tellLost(out *json.Encoder) error {
	r.mu.Lock()
	lost := r.lost
	r.lost = 0
	r.mu.Unlock()
	if lost == 0 {
		return nil
	}
	return out.Encode(line{Event: "lost", Count: lost})
}

// tell hands a line to all readers.
func (s *story) tell(l line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.readers {
		r.push(l)
	}
}

// end tells all readers the last line and lets them go.
func (s *story) end(l line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for _, r := range s.readers {
		r.mu.Lock()
		r.last = &l
		r.mu.Unlock()
		close(r.lines)
		r.conn.SetWriteDeadline(time.Now().Add(lastChance))
	}
	s.readers = nil
}

// drop forgets a reader that is gone.
func (s *story) drop(r *eventReader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers = slices.DeleteFunc(s.readers, func(x *eventReader) bool { return x == r })
}

// openEvents gives a caller the reading end of a job's events.
func (f *Face) openEvents(j *job, replay bool, release func()) (*os.File, error) {
	conn, file, err := socketPair()
	if err != nil {
		return nil, engine.Fail(engine.StorageError, "open a socket", "", "%w", err)
	}
	r := &eventReader{conn: conn, lines: make(chan line, maxLines)}
	var backlog []line
	s := &j.story
	state := f.view.state(j)
	s.mu.Lock()
	if replay {
		backlog = append(backlog, stateLine(state, state.Progress))
		for _, step := range s.steps {
			backlog = append(backlog, itemLine(step))
		}
		if s.dropped > 0 {
			backlog = append(backlog, line{Event: "omitted", Count: s.dropped})
		}
	}
	if s.ended {
		last := doneLine(state)
		r.last = &last
		close(r.lines)
		conn.SetWriteDeadline(time.Now().Add(lastChance))
	} else {
		s.readers = append(s.readers, r)
	}
	s.mu.Unlock()
	f.work(func() {
		defer release()
		defer s.drop(r)
		stop := context.AfterFunc(f.closing, func() { conn.Close() })
		defer stop()
		r.write(f.closing.Done(), backlog)
	})
	return file, nil
}

// socketPair gives a connection to write to and the file for who reads.
func socketPair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "events"), os.NewFile(uintptr(fds[1]), "events")
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}
