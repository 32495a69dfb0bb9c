//go:build unix

package route

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
)

// hand hands n connections over under the name and gives their far ends.
func hand(t *testing.T, h *Handed, name string, n int) (far []*os.File) {
	t.Helper()
	for range n {
		ours, theirs, err := socketPair()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { theirs.Close() })
		h.Add(name, ours)
		far = append(far, theirs)
	}
	return far
}

func TestV15ADescriptorThatWasHandedOverIsKeptWhileNothingIsUnderWay(t *testing.T) {
	var h Handed
	far := hand(t, &h, "server", 1)
	defer h.Close()
	d := dialer(t, "fd:server", Env{Handed: &h})
	for range 3 {
		c, err := d.Dial(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		far[0].WriteString("!")
		c.(*lent).Busy(1)
		if n, err := c.Read(make([]byte, 10)); n != 1 {
			t.Fatal(n, err)
		}
		c.(*lent).Busy(-1)
		// Another one waits, and gets it as soon as it is given back.
		second := make(chan net.Conn)
		go func() {
			c, _ := d.Dial(context.Background(), "")
			second <- c
		}()
		c.Close()
		if c := <-second; c == nil {
			t.Fatal("who waited got nothing")
		} else {
			c.Close()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	c, err := d.Dial(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := d.Dial(ctx, ""); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("who gave up waiting got %v", err)
	}
	c.Close()
}

func TestV15ADescriptorThatIsInTheMiddleOfSomethingIsGivenToNobodyElse(t *testing.T) {
	spoil := map[string]func(c *lent, far *os.File){
		"an exchange was given up": func(c *lent, _ *os.File) { c.Busy(1) },
		"somebody wrote":           func(c *lent, _ *os.File) { io.WriteString(c, "x") },
		"somebody read":            func(c *lent, far *os.File) { far.WriteString("x"); c.Read(make([]byte, 1)) },
		"an answer is left over":   func(_ *lent, far *os.File) { far.WriteString("x") },
		"the server left":          func(_ *lent, far *os.File) { far.Close() },
	}
	before := descriptors(t)
	for what, do := range spoil {
		var h Handed
		far := hand(t, &h, "server", 2)
		d := dialer(t, "fd:server", Env{Handed: &h})
		for i := range far {
			c, err := d.Dial(t.Context(), "")
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			do(c.(*lent), far[i])
			c.Close()
			c.Close() // twice is no harm
		}
		if c, err := d.Dial(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "used up") {
			t.Errorf("%s: got %v, %v", what, c, err)
		}
		h.Close()
		for _, f := range far {
			f.Close()
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestADescriptorThatIsNoConnectionIsToldSo(t *testing.T) {
	var h Handed
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	h.Add("null", null)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	h.Add("listener", f)
	for name, want := range map[string]string{"null": "no connected socket", "listener": "not connected", "other": "no descriptor other was handed"} {
		c, err := dialer(t, "fd:"+name, Env{Handed: &h}).Dial(t.Context(), "")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
}
