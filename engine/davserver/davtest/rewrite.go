package davtest

import (
	"net/http"
	"slices"
	"strings"
)

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
