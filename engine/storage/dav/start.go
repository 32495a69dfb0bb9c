package dav

import (
	"context"
	"net"
	"net/url"
	"strconv"
	"strings"

	"davbus.org/davbus/engine"
)

// A start is where discovery begins: a URL, and for which kinds of collection.
type start struct {
	url   *url.URL
	kinds []string
}

var wellKnown = map[string]string{engine.Calendar: "/.well-known/caldav", engine.AddressBook: "/.well-known/carddav"}

// candidates are the places to begin at that the account's url alone gives.
func candidates(o Options) ([]start, error) {
	bad := func(why string) ([]start, error) {
		return nil, engine.Fail(engine.Invalid, "use the url", o.URL, "%s; it is https://HOST/PATH, a domain, or USER@DOMAIN", why)
	}
	raw := strings.TrimSpace(o.URL)
	if strings.Contains(raw, "://") {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return bad("it is no web address")
		}
		u.User, u.Fragment, u.RawQuery = nil, "", ""
		if u.Path == "" {
			u.Path = "/"
		}
		return []start{{u, o.Kinds}}, nil
	}
	domain := domainOf(raw)
	if domain == "" || strings.ContainsAny(domain, "/?#@ ") {
		return bad("it is no domain")
	}
	return nil, nil
}

func domainOf(raw string) string {
	if i := strings.LastIndexByte(raw, '@'); i >= 0 {
		raw = raw[i+1:]
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimSpace(raw), "."))
}

// starts looks up where a domain keeps calendars and address books: SRV and TXT
// as RFC 6764 says, else the domain itself. Only TLS is used: nothing vouches
// for a name server's answer but the certificate of the host that it names. The
// error tells of a host that was passed over, being outside of the domain.
func (s *Source) starts(ctx context.Context, domain string) ([]start, error) {
	var out []start
	var refused error
	for _, kind := range []string{engine.Calendar, engine.AddressBook} {
		if !s.wants(kind) {
			continue
		}
		path := wellKnown[kind]
		host := domain
		service := map[string]string{engine.Calendar: "caldavs", engine.AddressBook: "carddavs"}[kind]
		if s.opt.Resolver != nil {
			if _, srv, err := s.opt.Resolver.LookupSRV(ctx, service, "tcp", domain); err == nil && len(srv) > 0 && strings.Trim(srv[0].Target, ".") != "" {
				host = strings.ToLower(strings.TrimSuffix(srv[0].Target, "."))
				if srv[0].Port != 443 {
					host = net.JoinHostPort(host, strconv.Itoa(int(srv[0].Port)))
				}
				if txt, err := s.opt.Resolver.LookupTXT(ctx, "_"+service+"._tcp."+domain); err == nil {
					for _, t := range txt {
						if p, ok := strings.CutPrefix(t, "path="); ok && strings.HasPrefix(p, "/") {
							path = p
						}
					}
				}
			}
		}
		u := &url.URL{Scheme: "https", Host: host, Path: path}
		if !s.trust(domain, u) {
			refused = engine.Fail(engine.ServerNonconforming, "find the collections of", domain, "%w", &elsewhere{u})
			continue
		}
		out = append(out, start{u, []string{kind}})
		if path != "/" {
			out = append(out, start{&url.URL{Scheme: "https", Host: host, Path: "/"}, []string{kind}})
		}
	}
	return out, refused
}

// trust lets the login go to a host that belongs to the domain which the person
// named. Another host needs the person's own word: its URL as the account's.
func (s *Source) trust(domain string, u *url.URL) bool {
	h := strings.ToLower(u.Hostname())
	if u.Scheme != "https" || h != domain && !strings.HasSuffix(h, "."+domain) {
		return false
	}
	s.opt.Trust(u)
	return true
}
