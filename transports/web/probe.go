package web

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"davbus.org/davbus/transports/route"
)

// Probe makes one connection to the server of a URL, tells each step ("proxy",
// "resolve", "stat", "connect", "uid", "tls") and closes it. Nothing is asked of
// the server.
func (c *Client) Probe(ctx context.Context, u *url.URL, report route.Report) error {
	ctx, cancel := context.WithTimeout(ctx, c.opt.HeaderTimeout)
	defer cancel()
	to, err := c.proxyFor(u)
	if err != nil {
		return err
	}
	if to != nil {
		report("proxy", "the environment says to go by "+to.Host, nil)
	} else {
		to = u
	}
	conn, err := c.opt.Route.Probe(ctx, hostPort(to), report)
	if err != nil {
		return err
	}
	defer conn.Close()
	if u.Scheme != "https" || to != u || c.opt.Route.Route.Kind == route.FD {
		return nil // the requests show what comes behind a proxy, and need the one connection
	}
	conf := c.wire.TLSClientConfig.Clone()
	conf.ServerName = u.Hostname()
	t := tls.Client(conn, conf)
	err = c.refused(tlsErrorOf(u, t.HandshakeContext(ctx)))
	detail := ""
	if err == nil {
		s := t.ConnectionState()
		detail = fmt.Sprintf("%s, certificate of %s", tls.VersionName(s.Version), s.PeerCertificates[0].Subject)
	}
	report("tls", detail, err)
	return err
}

// proxyFor is the proxy that a request for the URL would go by; nil for none.
func (c *Client) proxyFor(u *url.URL) (*url.URL, error) {
	if c.wire.Proxy == nil {
		return nil, nil
	}
	return c.wire.Proxy(&http.Request{URL: u})
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	if port == "" {
		port = "1080" // socks5
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func tlsErrorOf(u *url.URL, err error) error {
	if err == nil {
		return nil
	}
	return tlsError(u, err)
}
