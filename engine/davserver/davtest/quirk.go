package davtest

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
)

var (
	dataElement = regexp.MustCompile(`(?s)<(c:calendar|card:address)-data>.*?</(c:calendar|card:address)-data>`)
	oneResponse = regexp.MustCompile(`(?s)<d:response>.*?</d:response>\n`)
	oneHref     = regexp.MustCompile(`<d:href>([^<]*)</d:href>`)
	askedToken  = regexp.MustCompile(`(?s)<([\w]+:)?sync-token\b[^>/]*>\s*\S.*?</([\w]+:)?sync-token>`)
)

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
	return withBody(func(next http.Handler, w http.ResponseWriter, r *http.Request, body []byte) {
		switch {
		case r.Method != "REPORT" || !askedToken.Match(body):
			next.ServeHTTP(w, r)
		case how == TokenEverything:
			EditRequest(func(body []byte) []byte {
				return askedToken.ReplaceAll(body, []byte("<${1}sync-token/>"))
			})(next).ServeHTTP(w, r)
		default:
			how.answer().ServeHTTP(w, r)
		}
	})
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
