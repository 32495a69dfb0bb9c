package call

import (
	"encoding/json"
	"fmt"
)

// giveUp tells the peer that nobody waits for an answer any more. It may not
// read just now, or never again, so nobody waits for that either.
func (p *Peer) giveUp(call *pending, id json.RawMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	call.answer, call.touched = nil, nil
	if p.err != nil {
		return // and work may be waited for already
	}
	p.work.Go(func() {
		select {
		case p.out <- outgoing{line: cancelLine(id)}:
		case <-p.done:
		}
	})
}

func cancelLine(id json.RawMessage) []byte {
	return fmt.Appendf(nil, "{\"jsonrpc\":\"2.0\",\"method\":%q,\"params\":{\"id\":%s}}\n", methodCancel, id)
}
