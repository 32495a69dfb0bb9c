package web

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// A Timeout says what was waited for in vain. It is a net.Error.
type Timeout struct{ Waiting string }

func (e *Timeout) Error() string   { return "the server took too long: no more waiting for " + e.Waiting }
func (e *Timeout) Timeout() bool   { return true }
func (e *Timeout) Temporary() bool { return true }

// A TooLarge is an answer that was given up at the limit.
type TooLarge struct{ Limit int64 }

func (e *TooLarge) Error() string {
	return fmt.Sprintf("the server's answer is larger than %d MiB once decoded", e.Limit>>20)
}

// BodyTooLarge marks the error for callers that do not know this package.
func (e *TooLarge) BodyTooLarge() bool { return true }

// guardBody makes the body of an answer decode itself, count, give up where it
// is too large or stands still, and let go of the request when it is closed.
func (c *Client) guardBody(ctx context.Context, cancel context.CancelCauseFunc, resp *http.Response) (*http.Response, error) {
	b := &body{ctx: ctx, raw: resp.Body, cancel: cancel, idle: c.opt.IdleTimeout, limit: c.opt.MaxBody}
	b.timer = time.AfterFunc(b.idle, func() { cancel(&Timeout{Waiting: "the rest of an answer"}) })
	b.timer.Stop() // it runs only while somebody reads: a slow reader is no slow server
	b.from = (*wireReader)(b)
	switch strings.ToLower(resp.Header.Get("Content-Encoding")) {
	case "", "identity":
	case "gzip", "x-gzip":
		// Made at the first read: an answer without a body has no header of gzip.
		b.from = &lazyGzip{from: (*wireReader)(b)}
		resp.ContentLength = -1
		resp.Header.Del("Content-Length")
		resp.Header.Del("Content-Encoding")
	default:
		b.Close()
		return nil, errors.New("the server sent an answer in a coding that it was not asked for")
	}
	resp.Body = b
	return resp, nil
}

type body struct {
	ctx    context.Context
	raw    io.ReadCloser
	from   io.Reader
	cancel context.CancelCauseFunc
	timer  *time.Timer
	idle   time.Duration
	limit  int64
	n      int64
}

// Read gives decoded bytes.
func (b *body) Read(p []byte) (int, error) {
	if b.n >= b.limit {
		var one [1]byte
		if n, err := b.from.Read(one[:]); n == 0 && err != nil {
			return 0, b.explain(err)
		}
		return 0, &TooLarge{b.limit}
	}
	if int64(len(p)) > b.limit-b.n {
		p = p[:b.limit-b.n]
	}
	n, err := b.from.Read(p)
	b.n += int64(n)
	return n, b.explain(err)
}

func (b *body) explain(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if late, ok := errors.AsType[*Timeout](context.Cause(b.ctx)); ok {
		return late
	}
	return err
}

func (b *body) Close() error {
	b.timer.Stop()
	err := b.raw.Close()
	b.cancel(nil)
	return err
}

// A wireReader is a body read as it came, each piece of which shows that the
// server is alive.
type wireReader body

func (b *wireReader) Read(p []byte) (int, error) {
	b.timer.Reset(b.idle)
	n, err := b.raw.Read(p)
	b.timer.Stop()
	return n, err
}

type lazyGzip struct {
	from io.Reader
	z    *gzip.Reader
}

func (g *lazyGzip) Read(p []byte) (n int, err error) {
	if g.z == nil {
		if g.z, err = gzip.NewReader(g.from); err != nil {
			return 0, err
		}
	}
	return g.z.Read(p)
}
