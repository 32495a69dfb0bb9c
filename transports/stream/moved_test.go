package stream

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"
)

// transfer copies what comes in one connection, and gives all events.
func transfer(t *testing.T, every time.Duration, until func(events chan Event, more func())) {
	t.Helper()
	s, events := open(t, Options{Every: every, Once: true, Handle: func(_ context.Context, c *Conn) error {
		_, err := io.Copy(io.Discard, c)
		return err
	}})
	f, err := s.OpenFD()
	if err != nil {
		t.Fatal(err)
	}
	until(events, func() {
		if _, err := f.Write(make([]byte, 1000)); err != nil {
			t.Error(err)
		}
	})
	f.Close()
	for e := range events {
		if e.Disconnected > 0 {
			break
		}
	}
	if in, _ := s.Bytes(); in == 0 || in%1000 != 0 {
		t.Errorf("%d bytes at the end", in)
	}
}

func TestT10MovedBytesAreToldWhileTheyMove(t *testing.T) {
	transfer(t, time.Millisecond, func(events chan Event, more func()) {
		for told := 0; told < 3; {
			more()
			for told < 3 {
				if e := <-events; e.Moved {
					told++
					break
				}
			}
		}
	})
}

func TestT10MovedBytesAreToldNoMoreOftenThanAllowed(t *testing.T) {
	transfer(t, time.Hour, func(events chan Event, more func()) {
		for range 100 {
			more()
		}
		for range len(events) {
			if e := <-events; e.Moved {
				t.Error("told within the hour")
			}
		}
	})
}

func TestT12TheHandlersReasonIsTold(t *testing.T) {
	because := errors.New("because")
	s, events := open(t, Options{Once: true, Handle: func(context.Context, *Conn) error { return because }})
	f, err := s.OpenFD()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for e := range events {
		if e.Disconnected > 0 && !errors.Is(e.Err, because) {
			t.Errorf("%+v", e)
		}
		if e.Closed {
			break
		}
	}
}
