package dav

import (
	"bytes"
	"crypto/sha256"
	"unicode/utf8"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// An etag in the answer to a PUT does not prove that the body was kept: servers
// rewrite it and give one all the same. So what is written is read back, until
// the server has been seen to keep bodies as they are.

// keptEnough is how many bodies in a row a server must have kept before it is
// taken at its word; one in recheck is read back even then.
const (
	keptEnough = 50
	recheck    = 16
	wroteMost  = 4096 // bodies that may wait to be seen again
)

// A bodyPrint tells a body again.
type bodyPrint struct {
	etag engine.Etag
	sum  [sha256.Size]byte
}

func printOf(text []byte) [sha256.Size]byte { return sha256.Sum256(item.CRLF(text)) }

// stored notes what was written; it reports whether the server is to be taken
// at its word for it.
func (st *Storage) stored(h engine.Head, text []byte) (kept bool) {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	if h.Etag == "" || !plain(text) {
		return false
	}
	st.s.stores++
	if st.s.kept >= keptEnough && st.s.stores%recheck != 0 {
		return true
	}
	if len(st.s.wrote) < wroteMost {
		st.s.wrote[placeOf(st.url)+string(h.Ref)] = bodyPrint{h.Etag, printOf(text)}
	}
	return false
}

// plain reports whether a text is written so that a server which keeps texts at
// all has no reason to touch it: what was seen of other texts says nothing about
// one that is folded, or oddly spelled.
func plain(text []byte) bool {
	if !utf8.Valid(text) || !bytes.HasSuffix(text, []byte("\r\n")) {
		return false
	}
	for line := range bytes.Lines(text) {
		body := bytes.TrimSuffix(line, []byte("\r\n"))
		if len(body) == len(line) || len(body) == 0 || len(body) > 75 || bytes.ContainsAny(body, "\r\x00") {
			return false
		}
		name := body[:max(0, bytes.IndexAny(body, ":;"))]
		if len(name) == 0 || !bytes.Equal(bytes.ToUpper(name), name) || name[0] < 'A' || name[0] > 'Z' {
			return false
		}
	}
	return true
}

// saw compares what the server serves with what was written.
func (st *Storage) saw(h engine.Head, text []byte) {
	key := placeOf(st.url) + string(h.Ref)
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	p, ok := st.s.wrote[key]
	if !ok {
		return
	}
	delete(st.s.wrote, key)
	switch {
	case p.etag != h.Etag: // somebody else has written since
	case p.sum == printOf(text):
		st.s.kept++
	default:
		st.s.kept = 0
	}
}
