package call

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strconv"
)

// read takes lines until the stream ends, and gives why it ended.
func (p *Peer) read() error {
	lines := newLineReader(p.stream, p.opt.Limit)
	for {
		line, err := lines.next()
		if err != nil {
			return err
		}
		m, fault := parse(line)
		if fault == nil {
			fault = p.take(m)
		}
		if fault == nil {
			continue
		}
		if p.opt.Strict {
			return fmt.Errorf("%w: %s", ErrProtocol, fault.Message)
		}
		id := m.ID
		if id == nil {
			id = json.RawMessage("null")
		}
		if err := p.send(p.end, message{ID: id, Error: toWire(fault)}); err != nil {
			return err
		}
	}
}

// take does what one line asks for.
func (p *Peer) take(m message) *Error {
	switch {
	case m.Method == "":
		return p.answer(m)
	case m.Method == methodCancel || m.Method == methodProgress:
		return p.own(m)
	case m.ID == nil:
		if p.opt.Notify != nil {
			p.opt.Notify(m.Method, m.Params)
		}
		return nil
	}
	return p.begin(m)
}

// answer gives an answer to whoever waits for it.
func (p *Peer) answer(m message) *Error {
	unknown := &Error{Code: CodeInvalidRequest, Message: "an answer with the id " + string(m.ID) + ", which no call has"}
	id, err := strconv.ParseUint(string(m.ID), 10, 64)
	if err != nil {
		return unknown
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	call, ok := p.pending[id]
	if !ok {
		return unknown
	}
	delete(p.pending, id)
	if call.answer != nil {
		call.answer <- m
	}
	return nil
}

// own takes the methods of every connection.
func (p *Peer) own(m message) *Error {
	var params struct {
		ID json.RawMessage `json:"id"`
	}
	if json.Unmarshal(m.Params, &params) != nil || len(params.ID) == 0 {
		return &Error{Code: CodeInvalidParams, Message: m.Method + ` wants {"id": the id of the call}`}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.Method == methodCancel {
		// A call that is done already needs no cancelling.
		if cancel, ok := p.running[string(params.ID)]; ok {
			cancel()
		}
		return nil
	}
	id, err := strconv.ParseUint(string(params.ID), 10, 64)
	if call, ok := p.pending[id]; err == nil && ok && call.touched != nil {
		call.touched()
	}
	return nil
}

// begin starts a call that came in.
func (p *Peer) begin(m message) *Error {
	if p.opt.Handle == nil {
		return &Error{Code: CodeMethodNotFound, Message: "there is no method " + strconv.Quote(m.Method) + " here"}
	}
	id := string(m.ID)
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.running[id]; ok {
		return &Error{Code: CodeInvalidRequest, Message: "the id " + id + " is that of a call which is under way"}
	}
	if len(p.running) >= p.opt.Busy {
		p.work.Go(func() {
			busy := Named("busy", "%d calls are under way, as many as are taken; wait for an answer", p.opt.Busy)
			p.send(p.end, message{ID: m.ID, Error: toWire(busy)})
		})
		return nil
	}
	ctx, cancel := context.WithCancel(context.WithValue(p.end, callID{}, m.ID))
	p.running[id] = cancel
	p.work.Go(func() {
		defer cancel()
		reply := p.handle(ctx, m)
		p.mu.Lock()
		delete(p.running, id)
		p.mu.Unlock()
		p.send(p.end, reply) // fails only when the connection has ended
	})
	return nil
}

// handle answers one call. A panic hurts only its caller.
func (p *Peer) handle(ctx context.Context, m message) (reply message) {
	reply.ID = m.ID
	defer func() {
		if r := recover(); r != nil {
			reply = message{ID: m.ID, Error: &wireError{Code: CodeInternal, Message: fmt.Sprintf("a fault in davbus: %v\n%s", r, debug.Stack())}}
		}
	}()
	result, err := p.opt.Handle(ctx, m.Method, m.Params)
	if err == nil {
		if reply.Result, err = json.Marshal(result); err == nil && len(reply.Result)+256 > p.opt.Limit {
			err = fmt.Errorf("%w: the answer takes %d bytes of %d", ErrTooLong, len(reply.Result), p.opt.Limit)
		}
	}
	if err != nil {
		reply.Result, reply.Error = nil, toWire(err)
	}
	return reply
}
