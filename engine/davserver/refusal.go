package davserver

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"davbus.org/davbus/engine"
)

// A refusal is why a request is not carried out: a status, words for people,
// and where the standards name one a condition for programs.
type refusal struct {
	status    int
	text      string
	condition xml.Name
	hrefs     []string // of what stands in the way
	after     time.Duration
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

func (r *refusal) because(space, condition string, hrefs ...string) *refusal {
	r.condition, r.hrefs = xml.Name{Space: space, Local: condition}, hrefs
	return r
}

// refusalOf turns any error into one. kind is that of the collection concerned,
// or "".
func refusalOf(err error, kind string) *refusal {
	var done *refusal
	if errors.As(err, &done) {
		return done
	}
	r := refuse(http.StatusInternalServerError, "%v", err)
	switch engine.KindOf(err) {
	case engine.Changed:
		r.status = http.StatusPreconditionFailed
	case engine.NotFound, engine.CollectionGone:
		r.status = http.StatusNotFound
	case engine.AlreadyExists:
		r.status = http.StatusConflict
	case engine.ReadOnly, engine.Denied, engine.Forbidden, engine.Managed, engine.Disabled:
		r.status = http.StatusForbidden
		return r.because(davNS, "need-privileges")
	case engine.NotSupported, engine.Invalid:
		r.status = http.StatusForbidden
	case engine.InvalidItem:
		r.status = http.StatusForbidden
		return r.because(dataCondition(kind))
	case engine.TooLarge:
		r.status = http.StatusRequestEntityTooLarge
		return r.because(namespaceOf(kind), "max-resource-size")
	case engine.QuotaExceeded, engine.LimitExceeded:
		r.status = http.StatusInsufficientStorage
		return r.because(davNS, "quota-not-exceeded")
	case engine.Busy, engine.ServerBusy, engine.Offline, engine.Timeout, engine.Cancelled:
		r.status = http.StatusServiceUnavailable
		if e, ok := errors.AsType[*engine.Error](err); ok {
			r.after = e.RetryAfter
		}
	}
	return r
}

func namespaceOf(kind string) string {
	if kind == engine.AddressBook {
		return cardNS
	}
	return calNS
}

func dataCondition(kind string) (space, condition string) {
	if kind == engine.AddressBook {
		return cardNS, "valid-address-data"
	}
	return calNS, "valid-calendar-data"
}

func writeRefusal(w http.ResponseWriter, r *http.Request, err error) {
	why := refusalOf(err, "")
	h := w.Header()
	if why.after > 0 {
		h.Set("Retry-After", strconv.Itoa(int(why.after.Seconds()+0.999)))
	}
	// What is left of a large body is not read: the connection ends instead.
	if why.status == http.StatusRequestEntityTooLarge {
		h.Set("Connection", "close")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	var body strings.Builder
	if why.condition.Local == "" {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		body.WriteString(strings.ToValidUTF8(why.text, "\uFFFD") + "\n")
	} else {
		h.Set("Content-Type", xmlType)
		body.WriteString(xmlHead + "<d:error" + namespaces + ">")
		body.WriteString(element(why.condition, hrefs(why.hrefs)))
		body.WriteString("<d:responsedescription>" + escape(why.text) + "</d:responsedescription></d:error>\n")
	}
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(why.status)
	if r.Method != http.MethodHead {
		io.WriteString(w, body.String())
	}
}
