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
		if fault == nil && m.Files > 0 {
			fault = p.receive(&m)
		}
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
		closeAll(m.files)
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
	if p.opt.Answered != nil {
		p.opt.Answered()
	}
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
	if p.opt.Handle == nil && p.opt.Begin == nil {
		closeAll(m.files)
		return &Error{Code: CodeMethodNotFound, Message: "there is no method " + strconv.Quote(m.Method) + " here"}
	}
	select { // who asks faster than he reads is not read from either
	case p.slots <- struct{}{}:
	case <-p.done:
		closeAll(m.files)
		return nil
	}
	ctx, fault := p.admit(m)
	if ctx == nil {
		closeAll(m.files)
		if fault != nil {
			<-p.slots
		}
		return fault
	}
	came := &cameAlong{files: m.files}
	ctx = context.WithValue(ctx, cameKey{}, came)
	answer := func() (any, error) { return p.opt.Handle(ctx, m.Method, m.Params) }
	if p.opt.Begin != nil {
		answer = p.opt.Begin(ctx, m.Method, m.Params)
	}
	p.answering.Add(1)
	p.work.Go(func() {
		defer p.answering.Done()
		defer came.close()
		reply := handle(m.ID, answer, p.opt.Limit)
		p.mu.Lock()
		p.running[string(m.ID)]()
		delete(p.running, string(m.ID)) // before it is seen: the id is free then
		p.mu.Unlock()
		p.reply(reply)
	})
	return nil
}

// reply sends an answer, and makes room for another call.
func (p *Peer) reply(m message) {
	p.send(p.end, m) // fails only when the connection has ended
	<-p.slots
}

// maxRefusing is how many calls that were one too many, or answers that are not
// written, may wait beside those that are under way.
const maxRefusing = 64

// admit gives a call its context; nil if it is not taken, which is answered here
// or told.
func (p *Peer) admit(m message) (context.Context, *Error) {
	id := string(m.ID)
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.running[id]; ok {
		return nil, &Error{Code: CodeInvalidRequest, Message: "the id " + id + " is that of a call which is under way"}
	}
	if len(p.running) >= p.opt.Busy {
		busy := Named("busy", "%d calls are under way, as many as are taken; wait for an answer", p.opt.Busy)
		p.work.Go(func() { p.reply(message{ID: m.ID, Error: toWire(busy)}) })
		return nil, nil
	}
	ctx, cancel := context.WithCancel(context.WithValue(p.end, callID{}, m.ID))
	p.running[id] = cancel
	return ctx, nil
}

// handle answers one call. A panic hurts only its caller.
func handle(id json.RawMessage, answer func() (any, error), limit int) (reply message) {
	reply.ID = id
	defer func() {
		if r := recover(); r != nil {
			reply = message{ID: id, Error: &wireError{Code: CodeInternal, Message: fmt.Sprintf("a fault in davbus: %v\n%s", r, debug.Stack())}}
		}
	}()
	result, err := answer()
	if err == nil {
		if reply.Result, err = json.Marshal(result); err == nil && len(reply.Result)+256 > limit {
			err = fmt.Errorf("%w: the answer takes %d bytes of %d", ErrTooLong, len(reply.Result), limit)
		}
	}
	if err != nil {
		reply.Result, reply.Error = nil, toWire(err)
	}
	return reply
}
