package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"davbus.org/davbus/transports/route"
)

func zipped(n int) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	zero := make([]byte, 1<<16)
	for ; n > 0; n -= len(zero) {
		z.Write(zero[:min(n, len(zero))])
	}
	z.Close()
	return b.Bytes()
}

func TestWhatIsDecodedIsCountedToTheByte(t *testing.T) {
	size := 0
	j := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/zip" {
			if r.Header.Get("Accept-Encoding") != "gzip" {
				t.Errorf("%s asked for %q", r.Method, r.Header.Get("Accept-Encoding"))
			}
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(zipped(size))
			return
		}
		w.Write(make([]byte, size))
	})
	c := client(t, Options{MaxBody: 1000})
	for _, path := range []string{"/", "/zip"} {
		for _, size = range []int{0, 999, 1000, 1001, 5000} {
			_, text, err := do(t, c, "REPORT", j.URL+path, "")
			if _, large := errors.AsType[*TooLarge](err); large != (size > 1000) || !large && (err != nil || len(text) != size) {
				t.Errorf("%s of %d bytes: read %d, %v", path, size, len(text), err)
			}
		}
	}
}

func TestAGzipBombCostsNoMemoryAndNoTime(t *testing.T) {
	bomb := bytes.Repeat(zipped(8<<20), 128) // a gigabyte, in members
	j := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(bomb)
	})
	c := client(t, Options{})
	req, _ := http.NewRequestWithContext(t.Context(), "PROPFIND", j.URL, nil)
	resp, err := c.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := io.Copy(io.Discard, resp.Body)
	runtime.ReadMemStats(&after)
	resp.Body.Close()
	if !errors.As(err, new(*TooLarge)) || n != MaxBody || after.TotalAlloc-before.TotalAlloc > 8<<20 {
		t.Errorf("read %d, %v, %d bytes allocated", n, err, after.TotalAlloc-before.TotalAlloc)
	}
}

func TestEtagsAreNeverAskedForInAnotherCoding(t *testing.T) {
	j := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("Accept-Encoding")) })
	c := client(t, Options{})
	for _, m := range []string{"GET", "PUT", "DELETE"} {
		if _, text, err := do(t, c, m, j.URL, ""); text != "identity" || err != nil {
			t.Errorf("%s: %q, %v", m, text, err)
		}
	}
	odd := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		fmt.Fprint(w, "x")
	})
	if _, _, err := do(t, c, "REPORT", odd.URL, ""); err == nil {
		t.Error("a coding that nobody asked for was taken")
	}
	broken := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(zipped(100000)[:50])
	})
	if _, _, err := do(t, c, "REPORT", broken.URL, ""); err == nil {
		t.Error("a gzip that was cut was taken")
	}
}

// onPipe runs a test in a bubble of fake time with a client whose connections
// are pipes to a function.
func onPipe(t *testing.T, server func(net.Conn), test func(t *testing.T, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options{Route: &route.Dialer{Route: route.Route{Kind: route.TCP}}})
		if err != nil {
			t.Fatal(err)
		}
		c.wire.DialContext = func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() {
				defer there.Close()
				server(there)
			}()
			return &counted{Conn: here, c: &c.count, idle: c.opt.IdleTimeout}, nil
		}
		test(t, c)
		c.Close()
		<-time.After(2 * time.Hour) // what the server still does comes to its end
	})
}

// readRequest reads up to the end of the header.
func readRequest(c net.Conn) {
	var got []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(got, []byte("\r\n\r\n")) {
		if _, err := c.Read(one); err != nil {
			return
		}
		got = append(got, one[0])
	}
}

func TestNothingIsWaitedForForEver(t *testing.T) {
	for _, c := range []struct {
		name, method string
		server       func(net.Conn)
		after        time.Duration
	}{
		{"no answer to a GET", "GET", func(c net.Conn) { readRequest(c); io.Copy(io.Discard, c) }, 30 * time.Second},
		{"no answer to a REPORT", "REPORT", func(c net.Conn) { readRequest(c); io.Copy(io.Discard, c) }, 120 * time.Second},
		{"half a header", "GET", func(c net.Conn) { readRequest(c); io.WriteString(c, "HTTP/1.1 200 OK\r\nX"); io.Copy(io.Discard, c) }, 30 * time.Second},
		{"half a body", "GET", func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
			io.Copy(io.Discard, c)
		}, 60 * time.Second},
		{"nobody reads", "PUT", func(c net.Conn) { <-time.After(time.Hour) }, 60 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			onPipe(t, c.server, func(t *testing.T, cl *Client) {
				begun := time.Now()
				_, _, err := do(t, cl, c.method, "http://x/", strings.Repeat("x", 1<<20)[:map[bool]int{true: 1 << 20}[c.method == "PUT"]])
				late, ok := errors.AsType[net.Error](err)
				if took := time.Since(begun); !ok || !late.Timeout() || took != c.after {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}

func TestAServerThatTricklesIsReadAndASlowReaderIsNoSlowServer(t *testing.T) {
	onPipe(t, func(c net.Conn) {
		readRequest(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
		for i := range 10 {
			<-time.After(59 * time.Second)
			fmt.Fprint(c, i)
		}
	}, func(t *testing.T, c *Client) {
		if status, text, err := do(t, c, "GET", "http://x/", ""); status != 200 || text != "0123456789" || err != nil {
			t.Errorf("%d %q, %v", status, text, err)
		}
	})
	onPipe(t, func(c net.Conn) {
		readRequest(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n12")
		<-time.After(time.Hour + 30*time.Second)
		io.WriteString(c, "34")
	}, func(t *testing.T, c *Client) {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://x/", nil)
		resp, err := c.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		two := make([]byte, 2)
		if _, err := io.ReadFull(resp.Body, two); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		if text, err := io.ReadAll(resp.Body); string(text) != "34" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		resp.Body.Close()
	})
}

func TestACancelledRequestEndsAtOnceWhereverItIs(t *testing.T) {
	for _, server := range []func(net.Conn){
		func(c net.Conn) { readRequest(c); io.Copy(io.Discard, c) },
		func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1")
			io.Copy(io.Discard, c)
		},
	} {
		onPipe(t, server, func(t *testing.T, c *Client) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begun := time.Now()
			req, _ := http.NewRequestWithContext(ctx, "GET", "http://x/", nil)
			if _, _, err := send(c, req); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
				t.Errorf("after %v: %v", time.Since(begun), err)
			}
		})
	}
}
