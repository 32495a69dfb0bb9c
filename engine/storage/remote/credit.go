package remote

import (
	"context"
	"sync"
)

// window is how many changes a plugin may send ahead of what was taken.
const window = 256

// A teller is a Caller that can also notify the plugin. To others, changes come
// as fast as the stream takes them.
type teller interface {
	Tell(ctx context.Context, method string, params any) error
}

// credit is what a plugin may send of this stream at first; 0 for as much as it
// likes, where it does not know of credit.
func (s *Source) credit(c *link) int {
	if _, ok := c.Caller.(teller); ok && s.has(featureCredit) {
		return window
	}
	return 0
}

// grant lets the plugin send more of a stream whenever half of what it may is
// taken, until stop. It is told on a goroutine of its own: whoever reads from a
// plugin must not wait for it to read.
func (st *stream) grant(ctx context.Context, c *link, id uint64) (stop func()) {
	t, ok := c.Caller.(teller)
	if !ok || st.allowed == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-st.taken:
			}
			st.mu.Lock()
			more := st.owed
			st.owed = 0
			st.allowed += more // before it is told: it may be used at once
			st.mu.Unlock()
			// A plugin that is gone fails the call itself.
			_ = t.Tell(ctx, methodCredit, creditParams{Stream: id, More: more})
		}
	})
	return func() { cancel(); work.Wait() }
}

// count counts one change; mu is held.
func (st *stream) count() {
	if st.allowed == 0 {
		return
	}
	st.came++
	if st.came > st.allowed {
		st.greedy = true
		st.stop()
	}
	if st.came%(window/2) == 0 {
		st.owed += window / 2
		select {
		case st.taken <- struct{}{}:
		default: // the one before is told with it
		}
	}
}

// A purse is what a plugin may still send of one stream.
type purse struct {
	mu   sync.Mutex
	left int
	more chan struct{} // of one place
}

func newPurse(credit int) *purse { return &purse{left: credit, more: make(chan struct{}, 1)} }

func (p *purse) add(n int) {
	p.mu.Lock()
	p.left += n
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
}

// take waits until one more may be sent.
func (p *purse) take(ctx context.Context) error {
	for {
		p.mu.Lock()
		ok := p.left > 0
		if ok {
			p.left--
		}
		p.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-p.more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
