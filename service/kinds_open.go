package service

import (
	"context"
	"errors"
	"math"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/keeper"
	"davbus.org/davbus/engine/storage/dav"
	"davbus.org/davbus/engine/storage/store"
	"davbus.org/davbus/engine/storage/vdir"
	"davbus.org/davbus/engine/storage/webcal"
	"davbus.org/davbus/transports/route"
	"davbus.org/davbus/transports/web"
)

func (k *kinds) openVdir(_ context.Context, cfg engine.AccountConfig, _ keeper.AccountSecrets) (engine.Source, error) {
	writeName, _ := cfg.Params["write-displayname"].(bool)
	// The kind of a folder without files is the keeper's to tell: its set knows
	// better than the account.
	return vdir.New(vdir.Options{Path: k.vdirPath(cfg.Params), WriteName: writeName}), nil
}

// openDAV makes a client for a server. The server is not asked yet.
func (k *kinds) openDAV(ctx context.Context, cfg engine.AccountConfig, s keeper.AccountSecrets) (engine.Source, error) {
	where, err := told(ctx, cfg, "url")
	if err != nil {
		return nil, err
	}
	user, err := told(ctx, cfg, "username")
	if err != nil {
		return nil, err
	}
	if user == "" && isAddress(where) {
		user = where
	}
	where, client, err := k.client(cfg, where, user, s)
	if err != nil {
		return nil, engine.Fail(engine.Invalid, "open", string(cfg.ID), "%w", err)
	}
	kindsOf, _ := cfg.Params["kinds"].([]string)
	var names dav.Resolver // a route of its own asks no name server
	if k.davPlace(cfg.Params).Transport == route.TCP {
		names = net.DefaultResolver
	}
	source, err := dav.New(dav.Options{
		URL: where, User: user, Client: client, Trust: client.Trust, Resolver: names, Kinds: kindsOf, Close: k.closer(client),
		Probe: func(ctx context.Context, u *url.URL, step func(string, string, error)) error {
			return client.Probe(ctx, u, step)
		},
	})
	if err != nil {
		k.closer(client)()
		return nil, err
	}
	return source, nil
}

// openWebcal makes a client for one published calendar.
func (k *kinds) openWebcal(_ context.Context, cfg engine.AccountConfig, s keeper.AccountSecrets) (engine.Source, error) {
	where, _ := cfg.Params["url"].(string)
	user, _ := cfg.Params["username"].(string)
	where, client, err := k.client(cfg, httpURL(where), user, s)
	if err != nil {
		return nil, engine.Fail(engine.Invalid, "open", string(cfg.ID), "%w", err)
	}
	source, err := webcal.New(webcal.Options{
		URL: where, User: user, Client: client, Close: k.closer(client),
		Probe: func(ctx context.Context, u *url.URL, step func(string, string, error)) error {
			return client.Probe(ctx, u, step)
		},
	})
	if err != nil {
		k.closer(client)()
		return nil, err
	}
	return source, nil
}

// httpURL says how a webcal: address is reached; other addresses stay.
func httpURL(where string) string {
	for _, scheme := range []string{"webcal://", "webcals://"} {
		if len(where) > len(scheme) && strings.EqualFold(where[:len(scheme)], scheme) {
			return "https://" + where[len(scheme):]
		}
	}
	return where
}

func webcalSyntax(p engine.Params) error {
	where, _ := p["url"].(string)
	via, _ := p["via"].(string)
	where, _, err := route.Split(httpURL(where), via)
	if err == nil {
		_, err = webcal.New(webcal.Options{URL: where})
	}
	return err
}

// webcalPlace leaves out the query of the URL, which often is a secret.
func (k *kinds) webcalPlace(p engine.Params) keeper.Place {
	where, _ := p["url"].(string)
	place := k.davPlace(engine.Params{"url": httpURL(where), "via": p["via"]})
	place.URL, _, _ = strings.Cut(place.URL, "?")
	return place
}

// openStore opens the database of a store account. It lies with the user's data,
// not with our state: it is the only place where its items are.
func (k *kinds) openStore(_ context.Context, cfg engine.AccountConfig, _ keeper.AccountSecrets) (engine.Source, error) {
	dir := filepath.Join(k.dirs.data, "store")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, engine.Fail(engine.StorageError, "make the folder", dir, "%w", err)
	}
	return store.Open(filepath.Join(dir, string(cfg.ID)+".db"))
}

// told is a parameter, or the first line of what its command prints.
func told(ctx context.Context, cfg engine.AccountConfig, name string) (string, error) {
	if argv := command(cfg, name); argv != nil {
		line, err := firstLine(ctx, argv)
		return string(line), err
	}
	s, _ := cfg.Params[name].(string)
	return s, nil
}

// client makes the HTTP client of an account, and gives its URL without the
// socket that may be spelled in it.
func (k *kinds) client(cfg engine.AccountConfig, where, user string, s keeper.AccountSecrets) (string, *web.Client, error) {
	return k.clientUpTo(cfg, where, user, s, web.MaxBody)
}

// proxyClient makes the HTTP client of an account for what others ask of its
// server, and gives its URL.
func (k *kinds) proxyClient(ctx context.Context, cfg engine.AccountConfig, s keeper.Secrets) (*web.Client, string, error) {
	where, err := told(ctx, cfg, "url")
	if err != nil {
		return nil, "", err
	}
	user, err := told(ctx, cfg, "username")
	if err != nil {
		return nil, "", err
	}
	if user == "" && !strings.Contains(where, "/") && strings.Contains(where, "@") {
		user = where
	}
	where, client, err := k.clientUpTo(cfg, httpURL(where), user, s.Of(cfg), math.MaxInt64)
	if err != nil {
		return nil, "", engine.Fail(engine.Invalid, "open", string(cfg.ID), "%w", err)
	}
	return client, where, nil
}

// clientUpTo is client with another limit of one answer.
func (k *kinds) clientUpTo(cfg engine.AccountConfig, where, user string, s keeper.AccountSecrets, most int64) (string, *web.Client, error) {
	text := func(name string) string { v, _ := cfg.Params[name].(string); return v }
	where, via, err := route.Split(where, text("via"))
	if err != nil {
		return "", nil, err
	}
	r, err := route.Parse(via)
	if err != nil {
		return "", nil, err
	}
	o := web.Options{
		Route: &route.Dialer{Route: r, Env: k.env(cfg.ID)}, Auth: text("auth"), CAFile: text("ca-file"), Pin: text("tls-pin"),
		Host: text("host"), UserAgent: text("user-agent"), MaxBody: most,
		Refused: func(s *web.Shown) { k.noteRefusal(cfg, s) },
		Login: func(ctx context.Context) (string, string, error) {
			if user == "" {
				return "", "", engine.Fail(engine.AuthRequired, "log in to", string(cfg.ID), "the server asks for a login; set the parameter \"username\"")
			}
			password, err := s.Get(ctx, "password")
			return user, string(password), err
		},
	}
	if u, err := url.Parse(where); err == nil && u.Host != "" {
		o.Origins = []*url.URL{u}
	}
	client, err := web.New(o)
	if err != nil {
		return "", nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.clients[client] = true
	return where, client, nil
}

// closer closes a client and keeps its counts.
func (k *kinds) closer(c *web.Client) func() {
	return func() {
		c.Close()
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.clients[c] {
			delete(k.clients, c)
			addStats(&k.past, c.Stats())
		}
	}
}

func (k *kinds) env(id engine.AccountID) route.Env {
	env := route.Env{RuntimeDir: k.dirs.session, Home: k.dirs.home, Handed: k.handed}
	if k.log != nil {
		env.Says = func(line string) { k.log.program(string(id), line) }
	}
	return env
}

// davSyntax checks the route and the URL as far as they can be read.
func davSyntax(p engine.Params) error {
	where, _ := p["url"].(string)
	via, _ := p["via"].(string)
	where, _, err := route.Split(where, via)
	if err != nil {
		return err
	}
	if where == "" && p["url-command"] == nil {
		return errors.New("the parameter \"url\" is empty")
	}
	if where == "" {
		return nil
	}
	_, err = dav.New(dav.Options{URL: where})
	return err
}

// davPlace tells where a server is and how it is reached.
func (k *kinds) davPlace(p engine.Params) keeper.Place {
	where, _ := p["url"].(string)
	via, _ := p["via"].(string)
	where, via, err := route.Split(where, via)
	if err != nil {
		return keeper.Place{Transport: "none"}
	}
	r, err := route.Parse(via)
	if err != nil {
		return keeper.Place{URL: where, Transport: "none"}
	}
	place := keeper.Place{URL: where, Transport: r.Kind, Address: r.Addr}
	switch {
	case r.Kind == route.Unix:
		if path, err := (&route.Dialer{Route: r, Env: k.env("")}).Path(); err == nil {
			place.Address = path
		}
	case r.Kind == route.TCP && r.Addr == "":
		if u, err := url.Parse(where); err == nil && u.Host != "" {
			place.Address = hostPort(u)
		}
	}
	return place
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[bool]string{true: "443", false: "80"}[u.Scheme == "https"]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
