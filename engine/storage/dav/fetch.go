package dav

import (
	"bytes"
	"context"
	"io"
	"iter"
	"mime"
	"net/http"
	"strings"
	"sync"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// Sizes of requests for texts.
const (
	batchStart = 64
	queryFrom  = 32       // so many are wanted before all are asked for
	batchBytes = 8 << 20  // of texts, as those that came lead to expect
	maxItem    = 32 << 20 // of one text
)

// Fetch asks for texts: for the whole collection at once where most of it is
// wanted, which is far quicker on some servers; else in batches that grow
// smaller where the server balks; and one by one for what is left. Each is
// asked for until it was answered or found gone.
func (st *Storage) Fetch(ctx context.Context, refs []engine.Ref) iter.Seq2[engine.Item, error] {
	return func(yield func(engine.Item, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		asking, stop := context.WithCancel(ctx)
		defer stop()
		f := &fetch{st: st, ctx: ctx, asking: asking, stop: stop, out: make(chan fetched), batch: st.batchMost(), most: st.batchMost()}
		for _, r := range refs {
			f.want(r)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			defer close(f.out)
			f.run()
		})
		defer wg.Wait()
		defer cancel()
		for got := range f.out {
			if !yield(got.item, got.err) {
				return
			}
		}
		if f.err != nil {
			yield(engine.Item{}, f.err)
		}
	}
}

// batchMost is how many texts the server is known to give at once.
func (st *Storage) batchMost() int {
	st.mem.mu.Lock()
	defer st.mem.mu.Unlock()
	if st.mem.batch == 0 {
		return batchStart
	}
	return st.mem.batch
}

type fetched struct {
	item engine.Item
	err  error
}

// A fetch is one call of Fetch under way.
type fetch struct {
	st  *Storage
	ctx context.Context
	out chan fetched

	asking context.Context // of requests: ends with the first failure of the whole
	stop   func()

	mu     sync.Mutex
	left   []engine.Ref // wanted and not answered, in order
	open   map[engine.Ref]bool
	batch  int // how many to ask for at once
	most   int // and at most
	fatal  bool
	err    error // why it ended; read when out is closed
	broken int   // items in a row that the server failed to give
	fallen int   // requests that got no answer

	refusals int  // batches that were refused
	singly   bool // no more batches

	bytes int // of the texts given, and
	given int // how many they were
}

func (f *fetch) want(ref engine.Ref) {
	if !validRef(ref) {
		return // no item is called so
	}
	if f.open == nil {
		f.open = map[engine.Ref]bool{}
	}
	if !f.open[ref] {
		f.open[ref] = true
		f.left = append(f.left, ref)
	}
}

func (f *fetch) run() {
	if f.wantsAll() && !f.query() {
		return
	}
	f.inParallel(f.nextBatch, f.multiget)
	f.inParallel(f.nextOne, f.get)
}

// inParallel carries out steps with as many workers as the server is good for,
// until there is nothing left or one says stop. The first goes alone: where the
// login is refused, or the server is broken, that is all that is asked.
func (f *fetch) inParallel(next func() []engine.Ref, do func([]engine.Ref) bool) {
	if first := next(); first == nil || !do(first) {
		return // and nothing after it, since that was why
	}
	var wg sync.WaitGroup
	for range max(1, min(paceMost, (f.openCount()+f.batch-1)/f.batch*2)) {
		wg.Go(func() {
			for refs := next(); refs != nil; refs = next() {
				if !do(refs) {
					f.mu.Lock()
					f.fatal = true
					f.mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
}

func (f *fetch) openCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.open)
}

// take claims an answer to a ref; it is false for what was not asked or has
// been answered.
func (f *fetch) take(ref engine.Ref) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.open[ref] {
		return false
	}
	delete(f.open, ref)
	return true
}

func (f *fetch) send(it engine.Item, err error) bool {
	select {
	case f.out <- fetched{it, err}:
		return true
	case <-f.ctx.Done():
		return false
	}
}

// give hands out one text that was answered.
func (f *fetch) give(h engine.Head, text []byte) bool {
	f.st.saw(h, text)
	f.mu.Lock()
	f.bytes += len(text)
	f.given++
	f.mu.Unlock()
	return f.send(engine.Item{Head: h, Text: text}, nil)
}

// fail ends the fetch as a whole: who waits for a turn to ask does not ask any
// more, while the texts that have come are still handed out.
func (f *fetch) fail(err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
	f.fatal = true
	f.stop()
	return false
}

// get fetches one item by itself. Its bytes come as the server keeps them.
func (f *fetch) get(refs []engine.Ref) bool {
	ref := refs[0]
	if !f.take(ref) {
		return true
	}
	it, err := f.st.get(f.asking, ref)
	switch {
	case err == nil:
		f.breaks(false)
		return f.give(it.Head, it.Text)
	case engine.IsKind(err, engine.NotFound):
		return true
	case engine.IsKind(err, engine.ServerError) && !f.breaks(true):
		// Servers choke on single items of their own; the others may be well.
	case ends(err):
		return f.fail(err)
	}
	return f.send(engine.Item{Head: engine.Head{Ref: ref}}, err)
}

// brokenMost is how many items in a row a server may fail to give before it is
// the server that is broken.
const brokenMost = 5

func (f *fetch) breaks(broke bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken++; !broke {
		f.broken = 0
	}
	return f.broken >= brokenMost
}

// get asks for one item; NotFound if it is gone.
func (st *Storage) get(ctx context.Context, ref engine.Ref) (engine.Item, error) {
	it, raw, err := st.getRaw(ctx, ref)
	if it.Etag = cleanEtag(raw); it.Etag == "" {
		it.Etag = st.listed(ref)
	}
	return it, err
}

// getRaw is get with the etag as the server spells it.
func (st *Storage) getRaw(ctx context.Context, ref engine.Ref) (it engine.Item, raw string, err error) {
	it, err = again(func() (engine.Item, error) {
		it, raw, err = st.getOnce(ctx, ref)
		return it, err
	})
	return it, raw, err
}

func (st *Storage) getOnce(ctx context.Context, ref engine.Ref) (engine.Item, string, error) {
	it := engine.Item{Head: engine.Head{Ref: ref}}
	u := st.item(ref)
	c := call{op: "fetch", on: st.on(ref), method: http.MethodGet, url: u, repeat: true}
	resp, err := st.s.send(ctx, c)
	if err != nil {
		return it, "", err
	}
	if resp.StatusCode != http.StatusOK {
		e := st.s.refused(c, resp)
		if e.Kind == engine.CollectionGone {
			e.Kind = engine.NotFound
		}
		return it, "", e
	}
	defer drop(resp)
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); t == "text/html" || t == "application/xhtml+xml" {
		return it, "", st.itemError(engine.ServerNonconforming, "fetch", ref, "the server sent a web page in its place")
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxItem+1))
	if err != nil {
		return it, "", st.s.netError(ctx, c, &cut{err})
	}
	if n := resp.ContentLength; n >= 0 && int64(len(text)) != n && len(text) <= maxItem {
		return it, "", st.itemError(engine.ConnectionLost, "fetch", ref, "the server's answer ended too soon")
	}
	if len(text) > maxItem {
		return it, "", st.itemError(engine.TooLarge, "fetch", ref, "it has more than %d MiB", maxItem>>20)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return it, "", st.itemError(engine.InvalidItem, "fetch", ref, "the server's copy is empty; delete it there")
	}
	it.Text = item.CRLF(text)
	return it, strings.TrimSpace(resp.Header.Get("ETag")), nil
}

// textOf takes the text out of a response, with the line ends that XML took from
// it. It is false where there is none that can be believed.
func (st *Storage) textOf(r *response) ([]byte, bool) {
	n := r.prop("calendar-data")
	if n == nil {
		n = r.prop("address-data")
	}
	if n == nil || r.foreign || len(n.kids) > 0 || strings.TrimSpace(n.text) == "" || len(n.text) > maxItem || strings.Contains(n.text, replaced) {
		return nil, false
	}
	return item.CRLF([]byte(n.text)), true
}

func (st *Storage) dataProp() string {
	if st.book() {
		return "<R:address-data/>"
	}
	return "<C:calendar-data/>"
}
