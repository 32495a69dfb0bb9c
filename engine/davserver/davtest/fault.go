package davtest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

// A Fault stands between a request and the server. Faults can be put inside one
// another.
type Fault func(next http.Handler) http.Handler

// Status answers with a status and headers ("Name", "value", ...) and does
// nothing.
func Status(status int, headers ...string) Fault {
	return Answer(status, "", "", headers...)
}

// Answer answers with a body and does nothing.
func Answer(status int, contentType, body string, headers ...string) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			if contentType != "" {
				w.Header().Set("Content-Type", contentType)
			}
			for i := 0; i+1 < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		})
	}
}

// Empty207 answers as if a collection had nothing in it, which reads as "all is
// deleted".
func Empty207() Fault {
	return Answer(http.StatusMultiStatus, "application/xml; charset=utf-8",
		`<?xml version="1.0" encoding="utf-8"?>`+"\n"+`<multistatus xmlns="DAV:"/>`)
}

// HTML200 answers as the log-in page of a network does.
func HTML200() Fault {
	return Answer(http.StatusOK, "text/html", "<!DOCTYPE html><html><body><h1>Welcome to our network</h1><br>Log in & surf</body></html>")
}

// Reset cuts the connection before anything is done.
func Reset() Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { cut(w) })
	}
}

// ThenReset does what is asked and cuts the connection instead of answering.
func ThenReset() Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(httptest.NewRecorder(), r)
			cut(w)
		})
	}
}

// ThenStatus does what is asked and answers something else.
func ThenStatus(status int, headers ...string) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(httptest.NewRecorder(), r)
			Status(status, headers...)(nil).ServeHTTP(w, r)
		})
	}
}

// Hang reads the request and never answers.
func Hang() Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		})
	}
}

// Slow sends the answer in pieces with a pause before each.
func Slow(piece int, pause time.Duration) Fault {
	return Change(func(w http.ResponseWriter, r *http.Request, a *httptest.ResponseRecorder) {
		send(w, a, -1)
		flush := http.NewResponseController(w)
		body := a.Body.Bytes()
		for len(body) > 0 {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(pause):
			}
			n := min(piece, len(body))
			w.Write(body[:n])
			flush.Flush()
			body = body[n:]
		}
	})
}

// Truncate sends only the first n bytes of the body. Told says that the length
// of the whole was told before, so that the loss shows; otherwise the answer
// ends as if it were whole.
func Truncate(n int, told bool) Fault {
	return Change(func(w http.ResponseWriter, r *http.Request, a *httptest.ResponseRecorder) {
		whole := a.Body.Len()
		part := a.Body.Bytes()[:min(n, whole)]
		if !told {
			send(w, a, len(part))
			w.Write(part)
			return
		}
		send(w, a, whole)
		w.Write(part)
		http.NewResponseController(w).Flush()
		if len(part) < whole {
			cut(w)
		}
	})
}

// Change lets the server answer and does something else with its answer.
func Change(with func(w http.ResponseWriter, r *http.Request, answer *httptest.ResponseRecorder)) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			with(w, r, answer)
		})
	}
}

// Edit changes the bytes of answers that have a body.
func Edit(with func(body []byte) []byte) Fault {
	return Change(func(w http.ResponseWriter, r *http.Request, a *httptest.ResponseRecorder) {
		body := a.Body.Bytes()
		if len(body) > 0 {
			body = with(body)
		}
		send(w, a, len(body))
		w.Write(body)
	})
}

// EditRequest changes the bytes of a request's body before the server sees it.
func EditRequest(with func(body []byte) []byte) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			body = with(body)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			r.Header.Set("Content-Length", strconv.Itoa(len(body)))
			next.ServeHTTP(w, r)
		})
	}
}

// send writes an answer's status and headers; a length below 0 is not told.
func send(w http.ResponseWriter, a *httptest.ResponseRecorder, length int) {
	for name, values := range a.Header() {
		w.Header()[name] = values
	}
	w.Header().Del("Content-Length")
	if length >= 0 && a.Code != http.StatusNoContent && a.Code != http.StatusNotModified {
		w.Header().Set("Content-Length", fmt.Sprint(length))
	}
	w.WriteHeader(a.Code)
}

// cut ends the connection so that the other side notices at once.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if c, ok := conn.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
	if out, ok := w.(*loggingWriter); ok {
		out.conn = conn
	} else {
		conn.Close()
	}
}
