package dav

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"strings"

	"davbus.org/davbus/engine"
)

// A Storage is one collection.
type Storage struct {
	s   *Source
	url *url.URL // ends in a slash
	c   engine.Collection
	mem *memory
}

// List asks for the etag of every member. The list counts only if the server
// sent it whole and named the collection itself in it: an empty answer that
// does not is what servers give to questions they did not understand.
func (st *Storage) List(ctx context.Context) iter.Seq2[engine.Head, error] {
	return func(yield func(engine.Head, error) bool) {
		heads, err := st.list(ctx)
		for _, h := range heads {
			if !yield(h, nil) {
				return
			}
		}
		if err != nil {
			yield(engine.Head{}, err)
		}
	}
}

func (st *Storage) list(ctx context.Context) ([]engine.Head, error) {
	heads, err := again(func() ([]engine.Head, error) { return st.listOnce(ctx) })
	if err != nil {
		return nil, err
	}
	st.mem.mu.Lock()
	defer st.mem.mu.Unlock()
	st.mem.size, st.mem.token = len(heads), ""
	st.mem.heads = make(map[engine.Ref]engine.Etag, len(heads))
	for _, h := range heads {
		st.mem.heads[h.Ref] = h.Etag
	}
	return heads, nil
}

func (st *Storage) listOnce(ctx context.Context) ([]engine.Head, error) {
	const op = "list"
	var heads []engine.Head
	index := map[engine.Ref]int{}
	own := false
	_, err := st.s.propfind(ctx, op, st.url, 1, `<D:getetag/><D:resourcetype/>`, func(r *response) error {
		m, err := st.member(r)
		if err != nil {
			return failf(engine.ServerNonconforming, op, st.url, "%w", err)
		}
		if m.own {
			own = true
			if r.status/100 > 2 {
				e := failf(kindOfStatus(r.status, r.why), op, st.url, "%s", sayStatus(r.status, r.why))
				e.Status = r.status
				return e
			}
			return nil
		}
		if r.status == 507 {
			return failf(engine.ServerNonconforming, op, st.url, "the server sent a part of the list only")
		}
		if m.ref == "" || r.status == 404 || r.status == 410 || r.prop("resourcetype").has("collection") {
			return nil
		}
		h := engine.Head{Ref: m.ref, Etag: etagOf(r)}
		if i, ok := index[m.ref]; ok {
			heads[i] = h // some servers name an item twice
			return nil
		}
		index[m.ref] = len(heads)
		heads = append(heads, h)
		return nil
	})
	if err == nil && !own {
		err = failf(engine.ServerNonconforming, op, st.url, "the server's list does not name the collection itself, so it proves nothing")
	}
	return heads, err
}

// listed is the etag that an item had in the last list, for servers that give
// none with the text. If the item has changed since, the next list says so.
func (st *Storage) listed(ref engine.Ref) engine.Etag {
	st.mem.mu.Lock()
	defer st.mem.mu.Unlock()
	return st.mem.heads[ref]
}

// A named is what a response is about.
type named struct {
	own     bool       // the collection itself
	ref     engine.Ref // an item; "" if it is none
	outside bool       // something that is not in the collection at all
}

// member finds out what a response is about and remembers the spelling.
func (st *Storage) member(r *response) (named, error) {
	u, err := resolve(st.url, r.href)
	if err != nil {
		return named{}, err
	}
	if placeOf(u) == placeOf(st.url) {
		return named{own: true}, nil
	}
	ref, spelled := refOf(st.url, u)
	if !strings.HasPrefix(u.Path, st.url.Path) {
		return named{outside: true}, nil
	}
	if ref == "" || strings.HasSuffix(u.Path, "/") && !strings.HasSuffix(spelled, "%2F") && !strings.HasSuffix(spelled, "%2f") {
		return named{}, nil
	}
	if spelled != spell(ref) {
		st.mem.mu.Lock()
		st.mem.spelled[ref] = spelled
		st.mem.mu.Unlock()
	}
	return named{ref: ref}, nil
}

func etagOf(r *response) engine.Etag {
	v, _ := r.value("getetag")
	return cleanEtag(v)
}

// item is the URL of an item, spelled as the server does.
func (st *Storage) item(ref engine.Ref) *url.URL {
	st.mem.mu.Lock()
	spelled, ok := st.mem.spelled[ref]
	st.mem.mu.Unlock()
	if !ok {
		spelled = spell(ref)
	}
	return member(st.url, spelled)
}

func (st *Storage) on(ref engine.Ref) string { return st.c.Name + "/" + string(ref) }

// itemError makes an error about one item.
func (st *Storage) itemError(kind engine.Kind, op string, ref engine.Ref, format string, args ...any) *engine.Error {
	return engine.Fail(kind, op, st.on(ref), format, args...)
}

// book reports whether the collection holds cards.
func (st *Storage) book() bool { return st.c.Kind == engine.AddressBook }

// ends reports whether an error leaves no hope for further requests.
func ends(err error) bool {
	switch engine.KindOf(err) {
	case engine.AuthFailed, engine.AuthRequired, engine.SecretLocked, engine.Offline, engine.PeerRefused, engine.Cancelled,
		engine.ConnectionRefused, engine.ConnectionLost, engine.HostNotFound, engine.Timeout, engine.ServerBusy, engine.ServerError, engine.Internal,
		engine.CertUntrusted, engine.CertExpired, engine.CertHostMismatch, engine.CertRevoked, engine.CertInvalid:
		return true
	}
	return errors.Is(err, context.Canceled)
}

var _ interface {
	engine.Tracker
	engine.MetaStorage
} = (*Storage)(nil)

var _ engine.Checker = (*Source)(nil)
