package plugin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// inTurn is a plugin that takes several calls, and then answers one after the
// other, after a while each; the last it does not answer.
func inTurn(c net.Conn, each ...time.Duration) {
	in := bufio.NewReader(c)
	var ids []int
	for range len(each) + 1 {
		line, err := in.ReadBytes('\n')
		var request struct{ ID int }
		if err != nil || json.Unmarshal(line, &request) != nil {
			return
		}
		ids = append(ids, request.ID)
	}
	for i, after := range each {
		time.Sleep(after)
		fmt.Fprintf(c, `{"jsonrpc":"2.0","id":%d,"result":1}`+"\n", ids[i])
	}
	in.ReadBytes(0) // until the end
}

// A plugin that answers others loses the call alone that it does not answer, and
// goes on.
func TestACallThatIsNotAnsweredAmongOthersFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() { // answers all but the first
			defer close(done)
			for in, n := bufio.NewScanner(theirs), 0; in.Scan(); n++ {
				var request struct{ ID int }
				if json.Unmarshal(in.Bytes(), &request) == nil && n > 0 && request.ID > 0 {
					fmt.Fprintf(theirs, `{"jsonrpc":"2.0","id":%d,"result":1}`+"\n", request.ID)
				}
			}
		}()
		c := Attach(ours, Options{Timeouts: Timeouts{"x": time.Second}})
		hangs := make(chan error, 1)
		go func() { hangs <- c.Call(t.Context(), "x", nil, nil) }()
		synctest.Wait()
		for range 2 {
			if err := c.Call(t.Context(), "y", nil, nil); err != nil {
				t.Error(err)
			}
		}
		wantFault(t, <-hangs, "timeout")
		if err := c.Call(t.Context(), "y", nil, nil); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		c.Close()
		theirs.Close()
		<-done
	})
}

// What waits behind a call that takes longer than its own time is not given up
// for that.
func TestACallIsNotGivenUpBehindALongOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); inTurn(theirs, time.Minute, 20*time.Second) }()
		c := Attach(ours, Options{Timeouts: Timeouts{"long": time.Hour, "short": 30 * time.Second}})
		long, short := make(chan error, 1), make(chan error, 1)
		go func() { long <- c.Call(t.Context(), "long", nil, nil) }()
		synctest.Wait()
		go func() { short <- c.Call(t.Context(), "short", nil, nil) }()
		synctest.Wait()
		go c.Call(t.Context(), "long", nil, nil) // never answered
		if err := <-long; err != nil {
			t.Error(err)
		}
		if err := <-short; err != nil {
			t.Error(err)
		}
		c.Close()
		theirs.Close()
		<-done
	})
}

// Four calls of 800 ms each, answered in turn, may take a second each. One that
// is not answered at all is given up a second after the one before it.
func TestWaitingInThePluginsQueueDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each = 800 * time.Millisecond
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); inTurn(theirs, each, each, each, each) }()
		c := Attach(ours, Options{Timeouts: Timeouts{"x": time.Second}})
		began, errs := time.Now(), make(chan error, 5)
		for range 5 {
			go func() { errs <- c.Call(t.Context(), "x", nil, nil) }()
			synctest.Wait() // they are sent in this order
		}
		for range 4 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		wantFault(t, <-errs, "hung")
		if took := time.Since(began); took != 4200*time.Millisecond {
			t.Errorf("the last was given up after %v", took)
		}
		c.Close()
		theirs.Close()
		<-done
	})
}

// A plugin may tell much between two answers, and not without end.
func TestWhatComesBetweenTwoAnswersIsBounded(t *testing.T) {
	for _, left := range []chatter{{lines: 3, bytes: 1 << 20}, {lines: 1 << 20, bytes: 3 * 2}} {
		ours, theirs := net.Pipe()
		heard := make(chan string, 10)
		c := Attach(ours, Options{Notify: func(_ string, params json.RawMessage) { heard <- string(params) }})
		c.mu.Lock()
		c.chatter = chatter{maxLines - left.lines, maxBytes - left.bytes}
		c.mu.Unlock()
		for range 4 {
			fmt.Fprintln(theirs, `{"jsonrpc":"2.0","method":"x","params":{}}`)
		}
		<-c.Done()
		if n := len(heard); n != 3 {
			t.Errorf("%+v left: %d lines were heard", left, n)
		}
		wantFault(t, c.Call(t.Context(), "x", nil, nil), "protocol")
		c.Close()
		theirs.Close()
	}
}
