package dav

import (
	"fmt"
	"net/url"
	"strings"

	"davbus.org/davbus/engine"
)

// Hrefs are compared decoded and sent as the server spelled them: servers
// differ in what they escape, and some differ from themselves.

// resolve reads an href that a server wrote into an answer about base. The host
// may be given, but only the one that was asked: the login goes nowhere else.
// A proxy in front of the server may have changed scheme and port.
func resolve(base *url.URL, href string) (*url.URL, error) {
	href = strings.TrimSpace(href)
	if href == "" {
		return nil, fmt.Errorf("the server sent an empty href")
	}
	u, err := parseHref(href)
	if err != nil {
		return nil, fmt.Errorf("the server sent an href that cannot be read: %.200q", href)
	}
	if u.Host != "" && !strings.EqualFold(u.Hostname(), base.Hostname()) {
		return nil, &elsewhere{u}
	}
	if u.Host == "" && u.Scheme != "" {
		return nil, fmt.Errorf("the server sent an href that is no web address: %.200q", href)
	}
	if u.Path != "" && u.Path[0] != '/' {
		u = base.ResolveReference(u)
	}
	out := *base
	out.Path, out.RawPath, out.RawQuery, out.Fragment = u.Path, u.RawPath, "", ""
	for seg := range strings.SplitSeq(out.EscapedPath(), "/") {
		if s, err := url.PathUnescape(seg); err != nil || s == ".." || s == "." {
			return nil, fmt.Errorf("the server sent an href with dots for a folder in it: %.200q", href)
		}
	}
	return &out, nil
}

// parseHref is url.Parse, kinder to servers that escape too little.
func parseHref(href string) (*url.URL, error) {
	u, err := url.Parse(href)
	if err == nil && u.RawQuery == "" && u.Fragment == "" && !u.ForceQuery && !strings.Contains(href, "#") {
		return u, nil
	}
	// A ? or # in a name, sent bare, or a % that escapes nothing.
	var b strings.Builder
	for i := 0; i < len(href); i++ {
		switch c := href[i]; {
		case c == '?' || c == '#' || c == ' ' || c < 0x20 || c >= 0x7f,
			c == '%' && !(i+2 < len(href) && isHex(href[i+1]) && isHex(href[i+2])):
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return url.Parse(b.String())
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// An elsewhere is an href to another host.
type elsewhere struct{ to *url.URL }

func (e *elsewhere) Error() string {
	return fmt.Sprintf("it leads to %s on another host, where the login must not go; if you trust that host, use it as the account's url", e.to.Redacted())
}

// placeOf is the decoded, comparable form of a collection's URL.
func placeOf(u *url.URL) string {
	return originOf(u) + strings.TrimRight(u.Path, "/") + "/"
}

func originOf(u *url.URL) string {
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if scheme == "http" {
		host = strings.TrimSuffix(host, ":80")
	} else if scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	}
	return scheme + "://" + host
}

// slashed gives a collection's URL its final slash.
func slashed(u *url.URL) *url.URL {
	if strings.HasSuffix(u.EscapedPath(), "/") {
		return u
	}
	out := *u
	out.Path += "/"
	if out.RawPath != "" {
		out.RawPath += "/"
	}
	return &out
}

// segments are the parts of a path, decoded. A slash that was escaped stays
// inside its part.
func segments(u *url.URL) []string {
	var out []string
	for seg := range strings.SplitSeq(strings.Trim(u.EscapedPath(), "/"), "/") {
		if s, err := url.PathUnescape(seg); err == nil && s != "" {
			out = append(out, s)
		}
	}
	return out
}

// refOf tells which item of a collection a URL names: its last segment,
// decoded, with the spelling. It is "" for anything else.
func refOf(collection, u *url.URL) (ref engine.Ref, spelled string) {
	path := u.EscapedPath()
	cut := strings.LastIndexByte(path, '/')
	if cut < 0 || cut == len(path)-1 {
		return "", ""
	}
	parent, err := url.PathUnescape(path[:cut+1])
	if err != nil || strings.TrimRight(parent, "/") != strings.TrimRight(collection.Path, "/") {
		return "", ""
	}
	name, err := url.PathUnescape(path[cut+1:])
	if err != nil || !validRef(engine.Ref(name)) {
		return "", ""
	}
	return engine.Ref(name), path[cut+1:]
}

// validRef refuses what names nothing in a collection, or a place outside of it
// once a server has unescaped it.
func validRef(ref engine.Ref) bool {
	for seg := range strings.SplitSeq(string(ref), "/") {
		if seg == "" || seg == "." || seg == ".." {
			return false
		}
	}
	return !strings.Contains(string(ref), "\x00")
}

// spell writes a ref as we would: every byte escaped that might mean something
// to somebody on the way. Commas and quotes confuse readers of digest logins, a
// plus is read as a space here and there, and "@" is wanted as it is.
func spell(ref engine.Ref) string {
	const plain = "-_.~@:"
	var b strings.Builder
	for i := 0; i < len(ref); i++ {
		c := ref[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// member is the URL of an item, given the spelling of its last segment.
func member(collection *url.URL, spelled string) *url.URL {
	out := *collection
	name, err := url.PathUnescape(spelled)
	if err != nil {
		name = spelled
	}
	out.RawPath = strings.TrimRight(collection.EscapedPath(), "/") + "/" + spelled
	out.Path = strings.TrimRight(collection.Path, "/") + "/" + name
	return &out
}
