package route

import (
	"net/url"
	"strings"
)

// Split turns every accepted spelling of a URL with a socket in it into the URL
// proper and the route, in their canonical spelling:
//
//	unix:///p                  http://localhost/      unix:/p
//	http+unix://%2Fp/path      http://localhost/path  unix:/p   (also unix+http, https)
//	http://unix:/p:/path       http://localhost/path  unix:/p   (also https)
//
// Any other URL is returned as it is, with its via made canonical. Two routes
// at once are refused.
func Split(rawURL, via string) (string, string, error) {
	u, sock, why := split(rawURL)
	if why != "" {
		return "", "", &Invalid{rawURL, why}
	}
	r, err := Parse(via)
	if err != nil {
		return "", "", err
	}
	if sock != "" {
		s, err := Parse(sock)
		if err != nil {
			return "", "", err
		}
		if via != "" && s.String() != r.String() {
			return "", "", &Invalid{rawURL, "the URL names a socket and via names another route; leave one away"}
		}
		r = s
	}
	return u, r.String(), nil
}

func split(raw string) (u, via, why string) {
	scheme, rest, ok := strings.Cut(raw, ":")
	if !ok {
		return raw, "", ""
	}
	scheme = strings.ToLower(scheme)
	switch scheme {
	case "unix":
		return "http://localhost/", "unix:" + rest, ""
	case "http+unix", "unix+http", "https+unix", "unix+https":
		web := "http"
		if strings.Contains(scheme, "https") {
			web = "https"
		}
		rest, ok = strings.CutPrefix(rest, "//")
		host, path, _ := strings.Cut(rest, "/")
		sock, err := url.PathUnescape(host)
		if !ok || err != nil || !strings.HasPrefix(sock, "/") && !strings.HasPrefix(sock, "@") {
			return "", "", "after " + scheme + ":// comes the path of the socket, with / written as %2F"
		}
		return web + "://localhost/" + path, "unix:" + sock, ""
	case "http", "https":
		rest, ok = strings.CutPrefix(rest, "//unix:")
		if !ok {
			return raw, "", ""
		}
		sock, path, _ := strings.Cut(rest, ":")
		if !strings.HasPrefix(sock, "/") && !strings.HasPrefix(sock, "@") {
			return raw, "", "" // a host that is called unix, with a port
		}
		return scheme + "://localhost/" + strings.TrimLeft(path, "/"), "unix:" + sock, ""
	}
	return raw, "", ""
}
