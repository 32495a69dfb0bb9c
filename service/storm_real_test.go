//go:build real && linux

package service

import (
	"encoding/json"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"davbus.org/davbus/service/lab"
	"davbus.org/davbus/transports/control"
)

// A daemon that may have 64 descriptors is asked by more clients than that. It
// serves as many as it can, and everybody again once there is room.
func TestRealU11ADaemonWithFewDescriptorsServesOn(t *testing.T) {
	d := home(t)
	path := filepath.Join(d.Runtime, "davbus", "control")
	d.process(nil, "sh", "-c", `ulimit -n 64; exec "$0"`, self(t))
	ask := func() bool {
		c, err := control.Dial(path)
		if err != nil {
			return false
		}
		defer c.Close()
		var got struct{ Statistics map[string]json.Number }
		if err := c.Call(t.Context(), "Control.GetStatistics", nil, &got); err != nil {
			return false
		}
		n, err := got.Statistics["open-descriptors"].Int64()
		return err == nil && n <= 64
	}
	if !lab.Within(patience, ask) {
		t.Fatalf("it does not answer\n%s", d.log.String())
	}
	var all []net.Conn
	for range 100 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err) // they wait in the listener's queue
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, `{"jsonrpc":"2.0","id":1,"method":"Shell.List","params":{"kind":"accounts"}}`+"\n")
		all = append(all, c)
	}
	for n, c := range all[:8] {
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Errorf("client %d of the first is not answered: %v", n, err)
		}
	}
	for _, c := range all {
		c.Close()
	}
	if !lab.Within(patience, ask) {
		t.Errorf("all have left, and it does not answer\n%s", d.log.String())
	}
}
