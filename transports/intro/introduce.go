package intro

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
)

// allows decides whether somebody may come to an owner at all.
func (e *entry) allows(s Sender) error {
	if len(e.AcceptFrom) == 0 && !s.Sandboxed || s.App != "" && slices.Contains(e.AcceptFrom, s.App) {
		return nil
	}
	return failed(Denied, "the owner of that name takes nobody from this caller's application: see \"accept-from\"")
}

// Introduce hands a socket to the owner of a designator or a public name and is
// back when it was taken. The socket is closed at this end, whatever comes of it.
// With wait it waits for somebody to register, as long as for the rest.
func (b *Broker) Introduce(ctx context.Context, in Introduction, wait bool) error {
	err := b.introduce(ctx, &in, wait)
	if in.Socket != nil {
		in.Socket.Close()
	}
	return err
}

func (b *Broker) introduce(ctx context.Context, in *Introduction, wait bool) error {
	if err := checkSocket(in.Socket); err != nil {
		return err
	}
	if raw, err := json.Marshal(in.Metadata); err != nil || len(raw) > maxMetadata {
		return failed(Invalid, "the metadata must be values that JSON has and take at most %d bytes there", maxMetadata)
	}
	give, err := b.admit(in.Sender.Owner)
	if err != nil {
		return err
	}
	defer give()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	e, err := b.await(ctx, in.Name, wait)
	if err != nil {
		return err
	}
	if err := e.allows(in.Sender); err != nil {
		return err
	}
	stop := context.AfterFunc(e.ctx, cancel)
	defer stop()
	handed := *in
	in.Socket = nil
	err = e.Deliver(ctx, handed)
	switch {
	case err == nil:
		return nil
	case e.ctx.Err() != nil:
		return failed(NotFound, "the owner of %q left before it took the socket", in.Name)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return failed(Timeout, "the owner of %q did not take the socket within %v", in.Name, patience)
	case ctx.Err() != nil:
		return ctx.Err()
	case nameOf(err) != "":
		return err
	}
	return failed(PeerRefused, "the owner of %q refused the socket: %v", in.Name, err)
}

// await finds who is meant, and waits for it to come if that is wanted.
func (b *Broker) await(ctx context.Context, to string, wait bool) (*entry, error) {
	for {
		e, grown := b.find(to)
		if e != nil {
			return e, nil
		}
		if !wait {
			return nil, failed(NotFound, "nobody has registered %q", to)
		}
		select {
		case <-grown:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, failed(Timeout, "nobody registered %q within %v", to, patience)
			}
			return nil, ctx.Err()
		}
	}
}

// admit counts an introduction until it is taken.
func (b *Broker) admit(owner string) (give func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.pending[owner] >= maxPending:
		return nil, failed(LimitExceeded, "%d introductions of this caller wait to be taken already", maxPending)
	case b.waiting >= maxAll:
		return nil, failed(LimitExceeded, "%d introductions wait to be taken already", maxAll)
	}
	b.pending[owner]++
	b.waiting++
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.waiting--
		if b.pending[owner]--; b.pending[owner] == 0 {
			delete(b.pending, owner)
		}
	}, nil
}
