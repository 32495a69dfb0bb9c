package web

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"

	"davbus.org/davbus/transports/route"
)

// Probe makes one connection to the server of a URL, tells each step ("stat",
// "connect", "uid", "tls") and closes it. Nothing is asked of the server.
func (c *Client) Probe(ctx context.Context, u *url.URL, report route.Report) error {
	if c.opt.Route.Route.Kind == route.FD {
		return nil // there is only the one connection, which the requests need
	}
	ctx, cancel := context.WithTimeout(ctx, c.opt.HeaderTimeout)
	defer cancel()
	port := u.Port()
	if port == "" {
		port = map[bool]string{true: "443", false: "80"}[u.Scheme == "https"]
	}
	conn, err := c.opt.Route.Probe(ctx, net.JoinHostPort(u.Hostname(), port), report)
	if err != nil {
		return err
	}
	defer conn.Close()
	if u.Scheme != "https" {
		return nil
	}
	conf := c.wire.TLSClientConfig.Clone()
	conf.ServerName = u.Hostname()
	t := tls.Client(conn, conf)
	err = tlsErrorOf(u, t.HandshakeContext(ctx))
	detail := ""
	if err == nil {
		s := t.ConnectionState()
		detail = fmt.Sprintf("%s, certificate of %s", tls.VersionName(s.Version), s.PeerCertificates[0].Subject)
	}
	report("tls", detail, err)
	return err
}

func tlsErrorOf(u *url.URL, err error) error {
	if err == nil {
		return nil
	}
	return tlsError(u, err)
}
