package conn

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

func TestEndOfTheBusEndsEverything(t *testing.T) {
	x, y := sockets(t)
	c := New(x, true, Options{})
	answered := make(chan error, 1)
	go func() { _, err := c.Call(t.Context(), "", "/x", "a.B.Do"); answered <- err }()
	io.ReadFull(y, make([]byte, 16))
	y.Close()
	if err := <-answered; err == nil || !strings.Contains(err.Error(), "broke") {
		t.Error(err)
	}
	<-c.Done()
	if c.Err() == nil {
		t.Error("no reason")
	}
	if _, err := c.Call(t.Context(), "", "/x", "a.B.Do"); err == nil {
		t.Error("a call after the end")
	}
	sent := make(chan error, 1)
	frame, err := c.Encode(callMessage(), 0)
	if err != nil {
		t.Fatal(err)
	}
	c.Write(frame, nil, func(err error) { sent <- err })
	if err := <-sent; err == nil {
		t.Error("written after the end")
	}
	c.Close()
	fine, _ := join(t, Options{}, Options{})
	if fine.Err() != nil {
		t.Error(fine.Err())
	}
	fine.Close()
	if !errors.Is(fine.Err(), ErrClosed) {
		t.Error(fine.Err())
	}
}

func TestABusThatDoesNotReadIsGivenUp(t *testing.T) {
	x, _ := sockets(t)
	c := New(x, true, Options{MaxBacklog: 1 << 20})
	defer c.Close()
	m := callMessage(strings.Repeat("x", 10_000))
	for range 50 { // half of what is allowed
		frame, err := c.Encode(m, 0)
		if err != nil {
			t.Fatal(err)
		}
		c.Write(frame, nil, nil)
	}
	if c.Err() != nil || c.Backlog() > 1<<20 {
		t.Fatal(c.Err(), c.Backlog())
	}
	for range 200 {
		frame, _ := c.Encode(m, 0)
		c.Write(frame, nil, nil)
	}
	<-c.Done()
	if !strings.Contains(c.Err().Error(), "does not read") {
		t.Error(c.Err())
	}
}

func TestNothingIsSentThatIsTooLong(t *testing.T) {
	a, _ := join(t, Options{MaxSend: 4096}, Options{Handler: echo(t), MaxMessage: 1 << 20})
	frame, err := a.Encode(callMessage(""), 0)
	if err != nil {
		t.Fatal(err)
	}
	room := 4096 - len(frame)
	if _, err := a.Encode(callMessage(strings.Repeat("x", room)), 0); err != nil {
		t.Error(err)
	}
	if _, err := a.Encode(callMessage(strings.Repeat("x", room+1)), 0); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	for _, bad := range []any{"\xff", "a\x00b", dbus.ObjectPath("x"), make(chan int), dbus.Variant{}, func() {}} {
		if _, err := a.Encode(callMessage(bad), 0); err == nil {
			t.Errorf("%T %v was encoded", bad, bad)
		}
	}
}

func TestWithoutAHandlerCallsAreRefused(t *testing.T) {
	a, _ := join(t, Options{}, Options{})
	_, err := a.Call(t.Context(), "", "/x", "a.B.Do")
	if e, ok := errors.AsType[dbus.Error](err); !ok || !strings.HasSuffix(e.Name, "UnknownObject") {
		t.Error(err)
	}
}

func TestSerialsAreNeverZero(t *testing.T) {
	var c Conn
	c.serial.Store(1<<32 - 2)
	if a, b := c.nextSerial(), c.nextSerial(); a != 1<<32-1 || b != 1 {
		t.Error(a, b)
	}
}
