package dav

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"davbus.org/davbus/engine"
)

// A call is one request to be made.
type call struct {
	op     string // for the error: "list"
	on     string // what it is about, for the error
	method string
	url    *url.URL
	body   string
	kind   string // content type
	head   map[string]string
	repeat bool // may be sent twice without harm
	final  bool // an answer 5xx says enough: there is another way to ask
}

const xmlType = `application/xml; charset="utf-8"`

// maxWait is how long a server's Retry-After is waited out here; a longer one
// ends the run, and the next one begins after it.
const maxWait = 30 * time.Second

// send makes a request and returns any answer but a temporary refusal. A
// request that may be repeated is, once, after a failure that may be chance.
func (s *Source) send(ctx context.Context, c call) (*http.Response, error) {
	for try := 0; ; try++ {
		done, err := s.pace.enter(ctx)
		if err != nil {
			return nil, s.netError(ctx, c, err)
		}
		resp, err := s.exchange(ctx, c)
		if err != nil {
			err = s.netError(ctx, c, err)
			done(engine.IsKind(err, engine.Timeout))
			if c.repeat && try == 0 && engine.IsKind(err, engine.ConnectionLost) {
				continue
			}
			return nil, err
		}
		busy := resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable
		done(busy)
		switch {
		case busy:
			wait := retryAfter(resp.Header, s.opt.Now())
			drop(resp)
			fail := statusError(c.op, c.on, resp, "")
			fail.RetryAfter = wait
			if wait == 0 {
				wait = time.Second << try
			}
			if try == 2 || wait > maxWait {
				return nil, fail
			}
			s.pace.hold(wait)
		case c.repeat && !c.final && try == 0 && resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented && resp.StatusCode != http.StatusInsufficientStorage:
			drop(resp)
			s.pace.hold(100 * time.Millisecond)
		default:
			return resp, nil
		}
	}
}

func (s *Source) exchange(ctx context.Context, c call) (*http.Response, error) {
	var body io.Reader = http.NoBody
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, "", body)
	if err != nil {
		return nil, err
	}
	req.URL, req.Host = c.url, c.url.Host
	if c.kind != "" {
		req.Header.Set("Content-Type", c.kind)
	}
	for k, v := range c.head {
		req.Header.Set(k, v)
	}
	if c.repeat {
		// Lets the client send it again where the server had just closed an idle
		// connection. A nil value is not sent.
		req.Header["X-Idempotency-Key"] = nil
	}
	engine.Requested(ctx)
	resp, err := s.opt.Client.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.Request != nil && resp.Request.URL != nil && originOf(resp.Request.URL) != originOf(c.url) {
		drop(resp)
		return nil, &elsewhere{resp.Request.URL}
	}
	return resp, nil
}

func (s *Source) netError(ctx context.Context, c call, err error) error {
	kind := kindOfNet(ctx, err)
	if kind == engine.Cancelled {
		err = context.Canceled
	}
	return engine.Fail(kind, c.op, c.on, "%w", err)
}

// drop reads what is left of a small answer, so that its connection serves
// again.
func drop(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	resp.Body.Close()
}

// refused makes an error of an answer that is not what was hoped for.
func (s *Source) refused(c call, resp *http.Response) *engine.Error {
	why := ""
	if isXML(resp) {
		why = readError(resp.Body)
	}
	drop(resp)
	return statusError(c.op, c.on, resp, why)
}

func isXML(resp *http.Response) bool {
	t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return strings.HasSuffix(t, "xml") && t != "application/xhtml+xml"
}

// A document is what a multistatus said beside its responses.
type document struct {
	url    *url.URL // where it came from in the end
	token  string
	header http.Header
}

// multistatus makes a request that is answered by one, and hands over each
// response as it is read. An answer that is not a whole multistatus is an error:
// nothing may be concluded from what it does not name.
func (s *Source) multistatus(ctx context.Context, c call, each func(*response) error) (document, error) {
	c.repeat = true
	if c.kind == "" && c.body != "" {
		c.kind = xmlType
	}
	resp, err := s.send(ctx, c)
	if err != nil {
		return document{}, err
	}
	if resp.StatusCode != http.StatusMultiStatus {
		if resp.StatusCode/100 == 2 || resp.StatusCode/100 == 3 {
			drop(resp)
			e := engine.Fail(engine.ServerNonconforming, c.op, c.on,
				"the server answered %s with %d and no list; a login page may be in the way, or this is no CalDAV or CardDAV address", c.method, resp.StatusCode)
			e.Status = resp.StatusCode
			return document{}, e
		}
		return document{}, s.refused(c, resp)
	}
	defer drop(resp)
	doc := document{url: c.url, header: resp.Header}
	if resp.Request != nil && resp.Request.URL != nil {
		doc.url = resp.Request.URL
	}
	var stop error
	doc.token, err = readMultistatus(resp.Body, defaultLimits, func(r *response) error {
		stop = each(r)
		return stop
	})
	if err != nil && stop != nil && errors.Is(err, stop) {
		return doc, stop
	}
	if err != nil {
		return doc, s.netError(ctx, c, &cut{err})
	}
	return doc, nil
}

// A cut is why the body of an answer could not be read to its end. Nothing of it
// counts.
type cut struct{ error }

func (c *cut) Unwrap() error { return c.error }

// again asks once more where the connection was lost in the middle of the answer.
// What ask gathers, it begins anew; what changes something must not be asked so.
func again[T any](ask func() (T, error)) (T, error) {
	got, err := ask()
	if engine.IsKind(err, engine.ConnectionLost) && errors.As(err, new(*cut)) {
		return ask()
	}
	return got, err
}

// propfind asks for properties.
func (s *Source) propfind(ctx context.Context, op string, u *url.URL, depth int, props string, each func(*response) error) (document, error) {
	return s.multistatus(ctx, call{
		op: op, on: u.Redacted(), method: "PROPFIND", url: u,
		head: map[string]string{"Depth": strconv.Itoa(depth)},
		body: `<?xml version="1.0" encoding="utf-8"?>` + "\n<D:propfind " + spaces + "><D:prop>" + props + "</D:prop></D:propfind>",
	}, each)
}

// spaces declares the name spaces of every request.
const spaces = `xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:R="urn:ietf:params:xml:ns:carddav" ` +
	`xmlns:S="http://calendarserver.org/ns/" xmlns:A="http://apple.com/ns/ical/" xmlns:B="http://inf-it.com/ns/ab/"`

// escape makes text safe inside an element.
func escape(s string) string {
	var b bytes.Buffer
	for _, r := range s {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '"':
			b.WriteString("&quot;")
		case r == '\r':
			b.WriteString("&#13;")
		case r < 0x20 && r != '\t' && r != '\n':
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// retryAfter reads how long a server wants to be left alone: seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if n, err := strconv.Atoi(v); err == nil {
		return time.Duration(max(0, min(n, 86400))) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, min(t.Sub(now), 24*time.Hour))
	}
	return 0
}

func failf(kind engine.Kind, op string, u *url.URL, format string, args ...any) *engine.Error {
	return engine.Fail(kind, op, u.Redacted(), format, args...)
}
