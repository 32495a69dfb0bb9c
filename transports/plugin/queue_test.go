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
func inTurn(c net.Conn, calls int, each time.Duration) {
	in := bufio.NewReader(c)
	var ids []int
	for range calls {
		line, err := in.ReadBytes('\n')
		var request struct{ ID int }
		if err != nil || json.Unmarshal(line, &request) != nil {
			return
		}
		ids = append(ids, request.ID)
	}
	for _, id := range ids[:calls-1] {
		time.Sleep(each)
		fmt.Fprintf(c, `{"jsonrpc":"2.0","id":%d,"result":1}`+"\n", id)
	}
	in.ReadBytes(0) // until the end
}

// Four calls of 800 ms each, answered in turn, may take a second each. One that
// is not answered at all is given up a second after the one before it.
func TestWaitingInThePluginsQueueDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); inTurn(theirs, 5, 800*time.Millisecond) }()
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
		wantFault(t, <-errs, "timeout")
		if took := time.Since(began); took != 4200*time.Millisecond {
			t.Errorf("the last was given up after %v", took)
		}
		c.Close()
		theirs.Close()
		<-done
	})
}
