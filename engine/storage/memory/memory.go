// Package memory is a storage that lives and dies with the process. It is the
// plainest storage there is, and so the one to read first. Its switches make it
// every kind of difficult storage that tests of the engine need.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"davbus.org/davbus/engine"
)

// A Storage keeps its items in a map. The zero Storage is empty and ready.
//
// The exported fields are set before use. The methods may be called from any
// goroutine, so that a test can edit while the engine works.
type Storage struct {
	// Before is asked before each call and each single write or item; an error
	// is what came of it, and nothing is changed. After is asked after a write
	// was made: its error hides that. Both may use the Storage.
	Before, After func(Call) error

	Churn    bool                                     // etags differ at every listing
	NoEtags  bool                                     // etags are ""; the sum of the text tells versions apart
	NoTokens bool                                     // Changes is not supported
	Inline   bool                                     // Changes brings texts along
	ReadOnly bool                                     // writes are refused
	Rewrite  func(text []byte) []byte                 // what is kept instead of a text
	WithUID  func(text []byte, uid engine.UID) []byte // new items get UIDs of the storage's own: item.WithUID
	Refuse   func(engine.Write) error                 // writes refused for what they hold
	Sum      func(text []byte) engine.Sum             // for NoEtags: item.Sum, or any other
	Unkept   map[engine.MetaKey]bool                  // metadata that cannot be kept
	OnChange func()                                   // called after every change

	mu     sync.Mutex
	items  map[engine.Ref]engine.Item
	meta   engine.Meta
	counts Counts
	serial int                // of the newest change
	churn  int                // of the newest listing
	given  int                // how many UIDs were given
	moved  map[engine.Ref]int // the serial of each item's last change, gone ones too
	oldest int                // tokens before it are forgotten
}

// A Call is one thing asked of a Storage: "list", "fetch", "create", "replace",
// "delete", "changes", "meta", "set-meta" or, of a Source, "look", "open",
// "make". Ref is set for a single item, N is how many calls of this name came
// before.
type Call struct {
	Name string
	Ref  engine.Ref
	N    int
}

// Counts tell how often each call was made. Fetched counts items.
type Counts struct{ List, Fetch, Fetched, Create, Replace, Delete, Changes, Meta, SetMeta int }

// Writes is how many writes were asked for.
func (c Counts) Writes() int { return c.Create + c.Replace + c.Delete }

var (
	_ engine.Tracker     = (*Storage)(nil)
	_ engine.MetaStorage = (*Storage)(nil)
)

// begin counts a call and asks Before.
func (s *Storage) begin(ctx context.Context, name string, ref engine.Ref, count *int) error {
	s.mu.Lock()
	n := *count
	*count++
	s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return engine.Fail(engine.Cancelled, name, string(ref), "%w", err)
	}
	if s.Before == nil {
		return nil
	}
	return s.Before(Call{name, ref, n})
}

func (s *Storage) List(ctx context.Context) iter.Seq2[engine.Head, error] {
	return func(yield func(engine.Head, error) bool) {
		if err := s.begin(ctx, "list", "", &s.counts.List); err != nil {
			yield(engine.Head{}, err)
			return
		}
		for _, h := range s.heads() {
			if err := ctx.Err(); err != nil {
				yield(engine.Head{}, engine.Fail(engine.Cancelled, "list", "", "%w", err))
				return
			}
			if !yield(h, nil) {
				return
			}
		}
	}
}

func (s *Storage) heads() []engine.Head {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.churn++
	var heads []engine.Head
	for _, ref := range slices.Sorted(maps.Keys(s.items)) {
		heads = append(heads, s.head(s.items[ref]))
	}
	return heads
}

// head is the head of an item as it is told; the map holds the plain serial.
func (s *Storage) head(it engine.Item) engine.Head {
	switch {
	case s.NoEtags:
		it.Etag = ""
	case s.Churn:
		it.Etag += engine.Etag(fmt.Sprintf(".%d", s.churn))
	}
	return it.Head
}

func (s *Storage) Fetch(ctx context.Context, refs []engine.Ref) iter.Seq2[engine.Item, error] {
	return func(yield func(engine.Item, error) bool) {
		if err := s.begin(ctx, "fetch", "", &s.counts.Fetch); err != nil {
			yield(engine.Item{}, err)
			return
		}
		for _, ref := range refs {
			err := s.begin(ctx, "fetch", ref, &s.counts.Fetched)
			if ctx.Err() != nil {
				yield(engine.Item{}, err)
				return
			}
			if err != nil {
				if !yield(engine.Item{Head: engine.Head{Ref: ref}}, err) {
					return
				}
				continue
			}
			if it, ok := s.item(ref); ok && !yield(it, nil) {
				return
			}
		}
	}
}

func (s *Storage) item(ref engine.Ref) (engine.Item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it, ok := s.items[ref]
	return engine.Item{Head: s.head(it), Text: bytes.Clone(it.Text)}, ok
}

func (s *Storage) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	return func(yield func(int, engine.Outcome) bool) {
		for i, w := range writes {
			if err := ctx.Err(); err != nil {
				yield(-1, engine.Outcome{Err: engine.Fail(engine.Cancelled, "write", "", "%w", err)})
				return
			}
			if !yield(i, s.write(ctx, w)) {
				return
			}
		}
	}
}

func (s *Storage) write(ctx context.Context, w engine.Write) engine.Outcome {
	count := [...]*int{engine.Create: &s.counts.Create, engine.Replace: &s.counts.Replace, engine.Delete: &s.counts.Delete}[w.Verb]
	s.mu.Lock()
	n := *count
	s.mu.Unlock()
	if err := s.begin(ctx, w.Verb.String(), w.Old.Ref, count); err != nil {
		return engine.Outcome{Err: err}
	}
	if s.ReadOnly {
		return engine.Outcome{Err: engine.Fail(engine.ReadOnly, w.Verb.String(), string(w.Old.Ref), "this storage takes no writes")}
	}
	if s.Refuse != nil {
		if err := s.Refuse(w); err != nil {
			return engine.Outcome{Err: err}
		}
	}
	out := s.change(w)
	if out.Err == nil && s.After != nil {
		if err := s.After(Call{w.Verb.String(), out.Head.Ref, n}); err != nil {
			return engine.Outcome{Err: err}
		}
	}
	return out
}

func (s *Storage) change(w engine.Write) engine.Outcome {
	s.mu.Lock()
	out := engine.Outcome{Kept: s.Rewrite == nil}
	switch ref := w.Old.Ref; {
	case w.Verb == engine.Create:
		text := s.rewritten(w.Text)
		if s.WithUID != nil {
			s.given++
			out.UID = engine.UID("own-" + strconv.Itoa(s.given))
			text, w.UID = s.WithUID(text, out.UID), out.UID
		}
		out.Head = s.store(s.free(w), text)
	case !s.there(w):
		out = engine.Outcome{Err: engine.Fail(engine.Changed, w.Verb.String(), string(ref), "another version is stored, or none")}
	case w.Verb == engine.Replace:
		out.Head = s.store(ref, s.rewritten(w.Text))
	default:
		out.Kept = false
		s.drop(ref)
	}
	s.mu.Unlock()
	if out.Err == nil && s.OnChange != nil {
		s.OnChange()
	}
	return out
}

// there reports whether the version that a write expects is the one stored.
func (s *Storage) there(w engine.Write) bool {
	it, ok := s.items[w.Old.Ref]
	if s.NoEtags {
		return ok && (s.Sum == nil || s.Sum(it.Text) == w.Was)
	}
	serial, _, _ := strings.Cut(string(w.Old.Etag), ".")
	return ok && string(it.Etag) == serial
}

// free is a ref that no item has: the suggested one, or one made from the UID.
func (s *Storage) free(w engine.Write) engine.Ref {
	base := w.Old.Ref
	if base == "" {
		base = engine.Ref(w.UID)
	}
	if base == "" {
		base = "item"
	}
	ref := base
	for n := 2; ; n++ {
		if _, taken := s.items[ref]; !taken {
			return ref
		}
		ref = base + engine.Ref("-"+strconv.Itoa(n))
	}
}

func (s *Storage) rewritten(text []byte) []byte {
	if s.Rewrite != nil {
		text = s.Rewrite(bytes.Clone(text))
	}
	return bytes.Clone(text)
}

func (s *Storage) store(ref engine.Ref, text []byte) engine.Head {
	if s.items == nil {
		s.items = map[engine.Ref]engine.Item{}
	}
	s.note(ref)
	s.items[ref] = engine.Item{Head: engine.Head{Ref: ref, Etag: engine.Etag(strconv.Itoa(s.serial))}, Text: text}
	return s.head(s.items[ref])
}

func (s *Storage) drop(ref engine.Ref) {
	s.note(ref)
	delete(s.items, ref)
}

func (s *Storage) note(ref engine.Ref) {
	if s.moved == nil {
		s.moved = map[engine.Ref]int{}
	}
	s.serial++
	s.moved[ref] = s.serial
}
