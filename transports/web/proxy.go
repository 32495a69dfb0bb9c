package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Proxy takes plain HTTP requests of local programs to the one server of a
// Client, which adds TLS and the login. Nothing but that server is reached: a
// request for another URL is refused, and so is a redirect to elsewhere. Neither
// side sees what belongs to the other's login: no Authorization and no cookie
// passes.
type Proxy struct {
	Client *Client
	Server *url.URL // scheme and host
	Prefix string   // of paths that are let through; "" for all
	// ReadOnly lets only through what changes nothing.
	ReadOnly bool
}

var readingMethods = []string{"GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT"}

// small is how large a body may be that is kept, so that it can be sent again
// after a challenge. A larger one is passed on as it comes.
const small = 1 << 20

// A denial is an answer of the proxy itself.
type denial struct {
	status int
	text   string
}

func (d *denial) Error() string { return d.text }

func deny(status int, format string, args ...any) error {
	return &denial{status, fmt.Sprintf(format, args...)}
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	resp, err := p.forward(r)
	if err == nil {
		defer resp.Body.Close()
		err = p.cleanAnswer(resp)
	}
	if err != nil {
		p.fail(w, err)
		return
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	if resp.ContentLength >= 0 && resp.Header.Get("Content-Length") == "" && r.Method != "HEAD" {
		w.Header().Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	}
	w.WriteHeader(resp.StatusCode)
	if err := pour(w, resp.Body); err != nil {
		panic(http.ErrAbortHandler) // the client must see that it is not whole
	}
}

// pour passes on what comes, as it comes.
func pour(w http.ResponseWriter, from io.Reader) error {
	buf := make([]byte, 32<<10)
	flush := http.NewResponseController(w)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, bad := w.Write(buf[:n]); bad != nil {
				return bad
			}
			if bad := flush.Flush(); bad != nil {
				return bad
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (p *Proxy) fail(w http.ResponseWriter, err error) {
	status := http.StatusBadGateway
	if d, ok := err.(*denial); ok {
		status = d.status
	} else if t, ok := err.(interface{ Timeout() bool }); ok && t.Timeout() {
		status = http.StatusGatewayTimeout
	}
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", strings.Join(readingMethods, ", "))
	}
	http.Error(w, "davbus: "+err.Error(), status)
}

// forward makes the request of the server.
func (p *Proxy) forward(r *http.Request) (*http.Response, error) {
	if err := p.permit(r); err != nil {
		return nil, err
	}
	out := (&http.Request{
		Method: r.Method, URL: &url.URL{Scheme: p.Server.Scheme, Host: p.Server.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
		Header: r.Header.Clone(), Host: p.Server.Host, ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(r.Context())
	dropHopByHop(out.Header)
	for _, name := range []string{"Authorization", "Cookie", "Origin", "Referer", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Expect", "Content-Length"} {
		out.Header.Del(name)
	}
	if to := r.Header.Get("Destination"); to != "" {
		where, err := p.destination(r, to)
		if err != nil {
			return nil, err
		}
		out.Header.Set("Destination", where)
	}
	rest, err := p.body(r, out)
	if err != nil {
		return nil, err
	}
	if out, err = p.Client.prepare(out); err != nil {
		return nil, err
	}
	if rest == nil {
		return p.Client.authorized(out)
	}
	return p.stream(out, rest, r.ContentLength)
}

// permit refuses what is not for the server, or not allowed.
func (p *Proxy) permit(r *http.Request) error {
	switch {
	case !strings.HasPrefix(r.RequestURI, "/") || r.URL.Scheme != "" || r.URL.Host != "":
		return deny(http.StatusBadRequest, "this proxy is for %s alone; ask it for a path", Origin(p.Server))
	case p.ReadOnly && !slices.Contains(readingMethods, r.Method):
		return deny(http.StatusMethodNotAllowed, "%s is not let through: this proxy was opened for reading", r.Method)
	case r.Method == "TRACE" || r.Method == "CONNECT":
		return deny(http.StatusMethodNotAllowed, "%s is not let through", r.Method)
	}
	return p.permitPath(r.URL.Path)
}

func (p *Proxy) permitPath(path string) error {
	for _, segment := range strings.Split(path, "/") {
		if segment == "." || segment == ".." {
			return deny(http.StatusBadRequest, "the path has a segment %q", segment)
		}
	}
	prefix := strings.TrimRight(p.Prefix, "/")
	if prefix != "" && path != prefix && !strings.HasPrefix(path, prefix+"/") {
		return deny(http.StatusForbidden, "this proxy was opened for what lies below %s", p.Prefix)
	}
	return nil
}

// destination is where COPY and MOVE go: to a place on the same server.
func (p *Proxy) destination(r *http.Request, to string) (string, error) {
	u, err := url.Parse(to)
	if err != nil || u.Host != "" && !strings.EqualFold(u.Host, r.Host) && Origin(u) != Origin(p.Server) || !strings.HasPrefix(u.Path, "/") {
		return "", deny(http.StatusBadGateway, "the destination is not on this server")
	}
	if err := p.permitPath(u.Path); err != nil {
		return "", err
	}
	u.Scheme, u.Host, u.User = p.Server.Scheme, p.Server.Host, nil
	return u.String(), nil
}

// body gives a request its body: a small one so that it can be sent again, else
// what is to be passed on as it comes.
func (p *Proxy) body(r, out *http.Request) (rest io.Reader, err error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	head, err := io.ReadAll(io.LimitReader(r.Body, small+1))
	switch {
	case err != nil:
		return nil, deny(http.StatusBadRequest, "the body of the request cannot be read")
	case len(head) <= small:
		out.ContentLength = int64(len(head))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(head)), nil }
		out.Body, err = out.GetBody()
		return nil, err
	case r.ContentLength < 0:
		return nil, deny(http.StatusLengthRequired, "a body of more than %d bytes must come with its length", small)
	}
	// It ends where its length says: the transport asks for more, and would cut an
	// answer that has begun by then, since that closes the body.
	return io.LimitReader(io.MultiReader(bytes.NewReader(head), r.Body), r.ContentLength), nil
}

// stream passes on a large body. It can be sent once only, so that the login is
// settled before with a request that has none.
func (p *Proxy) stream(out *http.Request, body io.Reader, length int64) (*http.Response, error) {
	ask := out.Clone(out.Context())
	ask.Method, ask.Header = "OPTIONS", http.Header{"User-Agent": out.Header["User-Agent"]}
	answer, err := p.Client.authorized(ask)
	if err != nil {
		return nil, err
	}
	discard(answer)
	if answer.StatusCode == http.StatusUnauthorized {
		return nil, errRefused
	}
	out.Body, out.ContentLength, out.GetBody = io.NopCloser(body), length, nil
	resp, err := p.Client.authorizedOnce(out)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		discard(resp)
		return nil, deny(http.StatusServiceUnavailable, "the server asked for a new login while the body was on its way; send it once more")
	}
	return resp, err
}

var errRefused = deny(http.StatusBadGateway, "the server refused the account's login, or there is none; look at the account")

// authorizedOnce is authorized for a body that cannot be sent again.
func (c *Client) authorizedOnce(req *http.Request) (*http.Response, error) {
	l := &c.login
	req.Header.Del("Authorization")
	if l.opt.Auth == "none" || l.opt.Login == nil || !c.trusted(req.URL) {
		return c.once(req)
	}
	sent, err := l.sign(req)
	if err != nil {
		return nil, err
	}
	resp, err := c.once(req)
	if err == nil && resp.StatusCode != http.StatusUnauthorized {
		l.accepted(sent)
	} else if err == nil {
		_, err = l.challenged(context.WithoutCancel(req.Context()), resp, sent)
	}
	if err != nil && resp != nil {
		discard(resp)
		return nil, err
	}
	return resp, err
}

// cleanAnswer takes out of an answer what concerns only us and the server, and
// makes its addresses the client's.
func (p *Proxy) cleanAnswer(resp *http.Response) error {
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusProxyAuthRequired {
		return errRefused
	}
	h := resp.Header
	dropHopByHop(h)
	for _, name := range []string{"Set-Cookie", "Set-Cookie2", "Www-Authenticate", "Authentication-Info", "Authorization", "Alt-Svc", "Strict-Transport-Security", "Public-Key-Pins"} {
		h.Del(name)
	}
	for _, name := range []string{"Location", "Content-Location"} {
		where := h.Get(name)
		if where == "" {
			continue
		}
		to, err := resp.Request.URL.Parse(where)
		if err != nil || Origin(to) != Origin(p.Server) {
			if name == "Location" && resp.StatusCode/100 == 3 {
				return deny(http.StatusBadGateway, "the server redirects to elsewhere, which was not followed")
			}
			h.Del(name)
			continue
		}
		h.Set(name, (&url.URL{Path: to.Path, RawPath: to.RawPath, RawQuery: to.RawQuery}).String())
	}
	return nil
}

// dropHopByHop removes what concerns one connection: RFC 9110, section 7.6.1.
func dropHopByHop(h http.Header) {
	for _, list := range h.Values("Connection") {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		h.Del(name)
	}
}
