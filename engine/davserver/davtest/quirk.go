package davtest

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
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

var (
	etagElement = regexp.MustCompile(`<d:getetag>&quot;([^<]*)&quot;</d:getetag>`)
	dataElement = regexp.MustCompile(`(?s)<(c:calendar|card:address)-data>.*?</(c:calendar|card:address)-data>`)
	oneResponse = regexp.MustCompile(`(?s)<d:response>.*?</d:response>\n`)
	oneHref     = regexp.MustCompile(`<d:href>([^<]*)</d:href>`)
	askedToken  = regexp.MustCompile(`(?s)<([\w]+:)?sync-token\b[^>/]*>\s*\S.*?</([\w]+:)?sync-token>`)
)

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

// Rewriting makes a server that changes what it is given and yet answers PUT
// with an etag, as Radicale and Xandikos do.
func Rewriting() Fault {
	change := EditRequest(Rewritten)
	return func(next http.Handler) http.Handler {
		changed := change(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "PUT" {
				changed.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// Rewritten gives a text as such a server keeps it: properties in another order,
// a PRODID of its own, one X- property more. It says the same as before.
func Rewritten(text []byte) []byte {
	var out, run []string
	flush := func() {
		slices.SortStableFunc(run, func(a, b string) int { return strings.Compare(propertyName(a), propertyName(b)) })
		out = append(out, run...)
		run = nil
	}
	for line := range strings.SplitSeq(strings.TrimRight(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"), "\n") {
		switch name := propertyName(line); {
		case strings.HasPrefix(line, " "), strings.HasPrefix(line, "\t"):
			if len(run) > 0 {
				run[len(run)-1] += "\r\n" + line
			}
		case name == "PRODID", name == "X-RADICALE-NAME":
		case name == "BEGIN", name == "END":
			flush()
			out = append(out, line)
			if strings.EqualFold(line, "BEGIN:VCALENDAR") {
				run = append(run, "PRODID:-//davtest//rewriting server//EN", "X-RADICALE-NAME:item.ics")
			}
		default:
			run = append(run, line)
		}
	}
	flush()
	return []byte(strings.Join(out, "\r\n") + "\r\n")
}

func propertyName(line string) string {
	return strings.ToUpper(line[:max(0, strings.IndexAny(line+":", ":;"))])
}

// TokenRefusal is how a server answers a sync token that it does not like.
type TokenRefusal int

const (
	TokenForbidden     TokenRefusal = iota // 403 with valid-sync-token, as the standard has it
	TokenBareForbidden                     // 403 without a reason
	TokenConflict                          // 409 with valid-sync-token
	TokenBadRequest                        // 400
	TokenGone                              // 410
	TokenServerError                       // 500, as Xandikos does
	TokenEverything                        // as if no token had been sent: all items, a new token
)

// TokenRefusals are all of them.
var TokenRefusals = []TokenRefusal{TokenForbidden, TokenBareForbidden, TokenConflict, TokenBadRequest, TokenGone, TokenServerError, TokenEverything}

// RefuseTokens refuses every REPORT that carries a token; one without a token is
// answered.
func RefuseTokens(how TokenRefusal) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			if r.Method == "REPORT" && askedToken.Match(body) {
				if how != TokenEverything {
					how.answer().ServeHTTP(w, r)
					return
				}
				body = askedToken.ReplaceAll(body, []byte("<${1}sync-token/>"))
			}
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			next.ServeHTTP(w, r)
		})
	}
}

func (how TokenRefusal) answer() http.Handler {
	reason := xml.Header + `<D:error xmlns:D="DAV:"><D:valid-sync-token/></D:error>`
	switch how {
	case TokenForbidden:
		return Answer(http.StatusForbidden, "application/xml", reason)(nil)
	case TokenConflict:
		return Answer(http.StatusConflict, "application/xml", reason)(nil)
	case TokenBadRequest:
		return Status(http.StatusBadRequest)(nil)
	case TokenGone:
		return Status(http.StatusGone)(nil)
	case TokenServerError:
		return Answer(http.StatusInternalServerError, "text/plain", "Traceback (most recent call last):\n")(nil)
	}
	return Status(http.StatusForbidden)(nil)
}

// NoInline leaves item texts out of the answers to sync-collection.
func NoInline() Fault { return editReports("sync-collection", dropData) }

func dropData(body []byte) []byte { return dataElement.ReplaceAll(body, nil) }

// NoReport refuses a kind of report ("sync-collection", "calendar-multiget", ...).
func NoReport(name string, status int) Fault {
	return whenReport(name, Status(status))
}

// SilentCap answers a report with the first n items only and does not say so.
func SilentCap(report string, n int) Fault {
	return editReports(report, func(body []byte) []byte {
		seen := 0
		return oneResponse.ReplaceAllFunc(body, func(r []byte) []byte {
			if seen++; seen > n {
				return nil
			}
			return r
		})
	})
}

// RefuseMany refuses a multiget of more than n items with
// number-of-matches-within-limits.
func RefuseMany(n int) Fault {
	refused := Answer(http.StatusForbidden, "application/xml", xml.Header+`<D:error xmlns:D="DAV:"><D:number-of-matches-within-limits/></D:error>`)(nil)
	return withBody(func(next http.Handler, w http.ResponseWriter, r *http.Request, body []byte) {
		if r.Method == "REPORT" && bytes.Contains(body, []byte("-multiget")) && bytes.Count(body, []byte("href>"))/2 > n {
			refused.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Doubled tells of every resource twice.
func Doubled() Fault {
	return Edit(func(body []byte) []byte {
		return oneResponse.ReplaceAllFunc(body, func(r []byte) []byte { return append(slices.Clone(r), r...) })
	})
}

// Hrefs spells every href of an answer in another way.
func Hrefs(spell func(href string) string) Fault {
	return Edit(func(body []byte) []byte {
		return oneHref.ReplaceAllFunc(body, func(m []byte) []byte {
			return []byte("<d:href>" + spell(string(oneHref.FindSubmatch(m)[1])) + "</d:href>")
		})
	})
}

// Stranger adds one more resource to every multistatus: the collection itself,
// something of elsewhere.
func Stranger(href string) Fault {
	more := "<d:response><d:href>" + href + "</d:href><d:propstat><d:prop><d:getetag>&quot;x&quot;</d:getetag></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>\n"
	return Edit(func(body []byte) []byte {
		return bytes.Replace(body, []byte("<d:response>"), []byte(more+"<d:response>"), 1)
	})
}

// RefuseChunked answers requests that come without Content-Length as Radicale
// does: an empty 207.
func RefuseChunked() Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength < 0 {
				Empty207()(nil).ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// PutIn207 answers a refused PUT as Xandikos does: with a 207 that says inside
// that it failed.
func PutIn207() Fault {
	return Change(func(w http.ResponseWriter, r *http.Request, a *httptest.ResponseRecorder) {
		if r.Method != "PUT" || a.Code < 400 {
			send(w, a, a.Body.Len())
			w.Write(a.Body.Bytes())
			return
		}
		reason := "<d:precondition-failed/>"
		if _, after, ok := bytes.Cut(a.Body.Bytes(), []byte("<d:error")); ok {
			_, inner, _ := bytes.Cut(after, []byte(">"))
			inner, _, _ = bytes.Cut(inner, []byte("<d:responsedescription>"))
			reason = string(inner)
		}
		Answer(http.StatusMultiStatus, "text/xml", xml.Header+
			`<d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:card="urn:ietf:params:xml:ns:carddav"><d:response><d:href>http%3A//localhost`+
			r.URL.EscapedPath()+"</d:href><d:status>HTTP/1.1 412 Precondition Failed</d:status><d:error>"+reason+"</d:error></d:response></d:multistatus>")(nil).ServeHTTP(w, r)
	})
}

// withBody gives a fault the whole body of a request to look at.
func withBody(do func(next http.Handler, w http.ResponseWriter, r *http.Request, body []byte)) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			do(next, w, r, body)
		})
	}
}

func whenReport(name string, fault Fault) Fault {
	return func(next http.Handler) http.Handler {
		faulty := fault(next)
		return withBody(func(next http.Handler, w http.ResponseWriter, r *http.Request, body []byte) {
			if r.Method == "REPORT" && bytes.Contains(body, []byte(name)) {
				faulty.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})(next)
	}
}

func editReports(name string, with func([]byte) []byte) Fault { return whenReport(name, Edit(with)) }
