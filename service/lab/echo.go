package lab

import (
	"io"
	"net"
	"sync"
)

// Echo is a service that answers "heard " and what it was sent, at the end of that.
// It gives NETWORK:ADDRESS.
func Echo(t T, network, address string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatalf("cannot listen on %s: %v", address, err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				got, _ := io.ReadAll(c)
				io.WriteString(c, "heard "+string(got))
			})
		}
	})
	t.Cleanup(func() { l.Close(); work.Wait() })
	return network + ":" + l.Addr().String()
}
