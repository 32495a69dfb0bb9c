package service

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/transports/stream"
	"davbus.org/davbus/transports/web"
)

// A proxying is a way to an account's server. It follows what is configured: a
// request that comes after a change goes the new way.
type proxying struct {
	host    *host
	request dbusapi.StreamRequest

	mu     sync.Mutex
	cfg    engine.AccountConfig // that proxy was made of
	url    string
	proxy  *web.Proxy // nil before the first request
	retire []func()   // close the clients
}

func (h *host) openProxy(r dbusapi.StreamRequest) (cargo, error) {
	p := &proxying{host: h, request: r}
	if r.PathPrefix != "" && !strings.HasPrefix(r.PathPrefix, "/") {
		return nil, engine.Fail(engine.Invalid, "open a proxy to", string(r.Account), "path-prefix is a path on the server: it begins with /")
	}
	_, err := p.account()
	return p, err
}

// account is the account as it stands, if there is a server behind it.
func (p *proxying) account() (*engine.AccountState, error) {
	id := p.request.Account
	a := p.host.Keeper.Snapshot().Accounts[id]
	switch {
	case a == nil:
		return nil, engine.Fail(engine.NotFound, "open a proxy to", string(id), "there is no account of this id")
	case a.Kind != "dav" && a.Kind != "webcal":
		return nil, engine.Fail(engine.NotSupported, "open a proxy to", string(id), "an account of kind %s has no server; serve its collections instead", a.Kind)
	case !a.Enabled:
		return nil, engine.Fail(engine.Disabled, "open a proxy to", string(id), "the account is disabled; enable it first")
	case a.Invalid != nil:
		return nil, a.Invalid
	}
	return a, nil
}

func (p *proxying) carry(ctx context.Context, c *stream.Conn, _ uint64) error {
	return c.ServeHTTP(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy, err := p.current(r.Context())
		if err != nil {
			http.Error(w, "davbus: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
}

// current is the proxy for what is configured now.
func (p *proxying) current(ctx context.Context) (*web.Proxy, error) {
	a, err := p.account()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proxy != nil && reflect.DeepEqual(a.Params, p.cfg.Params) && a.URL == p.url {
		return p.proxy, nil
	}
	client, where, err := p.host.program.kinds.proxyClient(ctx, a.AccountConfig, p.host.program.secrets)
	if err != nil {
		return nil, err
	}
	p.retire = append(p.retire, p.host.program.kinds.closer(client))
	server, err := p.server(where)
	if err != nil {
		return nil, err
	}
	client.Trust(server)
	p.cfg, p.url = a.AccountConfig, a.URL
	p.proxy = &web.Proxy{Client: client, Server: server, Prefix: p.request.PathPrefix, ReadOnly: p.request.ReadOnly}
	return p.proxy, nil
}

// server is the account's server: the one of its URL, or the one that discovery
// found its collections on.
func (p *proxying) server(where string) (*url.URL, error) {
	candidates := []string{where}
	for _, c := range p.host.Keeper.Snapshot().Collections {
		if c.Account == p.request.Account {
			candidates = append(candidates, c.URL)
		}
	}
	for _, s := range candidates {
		if u, err := url.Parse(s); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
			return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
		}
	}
	return nil, engine.Fail(engine.NotFound, "open a proxy to", string(p.request.Account), "%w", errors.New("its server is not known yet; discover its collections first"))
}

func (p *proxying) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, close := range p.retire {
		close()
	}
}
