package vdir

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"davbus.org/davbus/engine"
)

// An editor saves, in every manner and at any moment, while davbus writes over
// the same file as fast as it can. The editor saves again only when davbus has
// read what it saved; a text that davbus overwrote unread would never be.
func TestAnEditorThatRacesTheWriterLosesNothing(t *testing.T) {
	const rounds = 150
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := newRig(t, engine.Calendar)
	read := make(chan string, 1<<16) // what davbus has read
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				r.disturb(n, read)
			}
		}
	})
	draw := rand.New(rand.NewPCG(seed, 1))
	for n := range rounds {
		for range draw.IntN(2000) {
			runtime.Gosched()
		}
		text := event("a", fmt.Sprint("edit ", n))
		r.save(draw.IntN(3), text)
		if !awaits(read, string(text)) {
			t.Errorf("round %d: the saved text was never read; there is %q", n, r.names())
			break
		}
	}
	close(stop)
	wg.Wait()
	r.wantNoTemps()
}

// disturb reads all there is and writes over one item.
func (r *rig) disturb(n int, read chan<- string) {
	var found []engine.Item
	for ref := range r.list() {
		if it, err := r.fetch(ref); err == nil && it.Text != nil {
			read <- string(it.Text)
			found = append(found, it)
		}
	}
	w := creation("a", fmt.Sprint("ours ", n))
	switch {
	case len(found) > 0 && n%3 == 0:
		w = deletion(found[0])
	case len(found) > 0:
		w = replacement(found[0], event("a", fmt.Sprint("ours ", n)))
	}
	for _, out := range r.f.Apply(r.Context(), []engine.Write{w}) {
		if out.Err != nil && !engine.IsKind(out.Err, engine.Changed) {
			r.Errorf("%s: %v", w.Verb, out.Err)
		}
	}
}

// save saves in one of three manners.
func (r *rig) save(manner int, text []byte) {
	if manner > 0 {
		f, err := os.OpenFile(r.file("a.ics"), os.O_WRONLY, 0)
		if err == nil {
			if manner == 2 {
				f.Truncate(0)
				runtime.Gosched()
			}
			f.WriteAt(text, 0)
			f.Truncate(int64(len(text)))
			f.Close()
			return
		}
	}
	r.swap("a.ics", text)
}

func awaits(read <-chan string, want string) bool {
	limit := time.After(patience)
	for {
		select {
		case got := <-read:
			if got == want {
				return true
			}
		case <-limit:
			return false
		}
	}
}
