package davtest

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
)

// EtagMode is how a server gets etags wrong.
type EtagMode int

const (
	NoEtagOnPut  EtagMode = iota // answers of PUT carry none
	NoEtags                      // none anywhere
	WeakEtags                    // W/"..." everywhere
	BareEtags                    // without quotes everywhere
	WrongOnPut                   // the etag that PUT answers is not the one listed later
	GzipEtags                    // "...-gzip" when read, as some proxies do
	IgnoreChecks                 // If-Match and If-None-Match are not looked at
)

var etagElement = regexp.MustCompile(`<d:getetag>&quot;([^<]*)&quot;</d:getetag>`)

// Etags makes a server get etags wrong.
func Etags(mode EtagMode) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if mode == IgnoreChecks {
				r.Header.Del("If-Match")
				r.Header.Del("If-None-Match")
				next.ServeHTTP(w, r)
				return
			}
			if mode == GzipEtags || mode == BareEtags || mode == WeakEtags {
				plainEtags(r.Header)
			}
			a := httptest.NewRecorder()
			next.ServeHTTP(a, r)
			body := mode.spoil(r.Method, a.Header(), a.Body.Bytes())
			send(w, a, len(body))
			w.Write(body)
		})
	}
}

// plainEtags brings the spellings of Etags back to the server's own, as a
// server that spells them so would understand them.
func plainEtags(h http.Header) {
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if v := h.Get(name); v != "" && v != "*" {
			v = strings.Trim(strings.TrimPrefix(v, "W/"), `"`)
			h.Set(name, `"`+strings.TrimSuffix(v, "-gzip")+`"`)
		}
	}
}

func (mode EtagMode) spoil(method string, h http.Header, body []byte) []byte {
	etag := strings.Trim(h.Get("ETag"), `"`)
	set := func(header, listed string) []byte {
		if etag != "" {
			h.Set("ETag", strings.ReplaceAll(header, "$1", etag))
		}
		return etagElement.ReplaceAll(body, []byte("<d:getetag>"+listed+"</d:getetag>"))
	}
	switch mode {
	case NoEtagOnPut:
		if method == "PUT" {
			h.Del("ETag")
		}
	case NoEtags:
		h.Del("ETag")
		return etagElement.ReplaceAll(body, nil)
	case WeakEtags:
		return set(`W/"$1"`, `W/&quot;$1&quot;`)
	case BareEtags:
		return set(`$1`, `$1`)
	case WrongOnPut:
		if method == "PUT" && etag != "" {
			h.Set("ETag", `"not-`+etag+`"`)
		}
	case GzipEtags:
		if method == "GET" {
			h.Set("ETag", `"`+etag+`-gzip"`)
		}
	}
	return body
}
