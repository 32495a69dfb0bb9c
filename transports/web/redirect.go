package web

import (
	"fmt"
	"net/http"
	"net/url"
)

const maxHops = 5

// A Redirect is one that was not followed. Where it leads is a proposal to the
// person who set up the account, and nothing that is stored by itself.
type Redirect struct {
	From, To *url.URL
	Why      string
}

func (e *Redirect) Error() string {
	return fmt.Sprintf("the server at %s redirects to %s, which was not followed: %s", Origin(e.From), e.To.Redacted(), e.Why)
}

// RedirectTo marks the error for callers that do not know this package.
func (e *Redirect) RedirectTo() *url.URL { return e.To }

// redirected makes the request that an answer asks for; nil if it asks for
// none. Method and body are kept: they belong to WebDAV requests as much as the
// URL does.
func (c *Client) redirected(req *http.Request, resp *http.Response, hop int) (*http.Request, error) {
	switch resp.StatusCode {
	case 301, 302, 303, 307, 308:
	default:
		return nil, nil
	}
	where := resp.Header.Get("Location")
	if where == "" {
		return nil, nil
	}
	to, err := req.URL.Parse(where)
	if err != nil {
		return nil, fmt.Errorf("the server redirects to an address that cannot be read")
	}
	to.User, to.Fragment = nil, ""
	if why := c.refuseHop(req, resp.StatusCode, to, hop); why != "" {
		return nil, &Redirect{req.URL, to, why}
	}
	next := req.Clone(req.Context())
	next.URL = to
	if Origin(to) != Origin(req.URL) || c.opt.Host == "" {
		next.Host = to.Host
	}
	return next, nil
}

func (c *Client) refuseHop(req *http.Request, status int, to *url.URL, hop int) string {
	reading := req.Method == "GET" || req.Method == "HEAD"
	switch {
	case to.Scheme != "http" && to.Scheme != "https":
		return "it is no web address"
	case hop >= maxHops:
		return "there were too many redirects"
	case status == 303 && !reading:
		return "it would turn the request into another one"
	case req.URL.Scheme == "https" && to.Scheme == "http":
		return "it leads from an encrypted to a readable connection"
	case Origin(to) == Origin(req.URL):
		return ""
	case c.opt.Route.Route.Private():
		return "the route of this account leads to one server only"
	case c.trusted(to) || reading:
		return ""
	}
	return "it leads to another server; if you trust that one, use it as the account's url"
}
