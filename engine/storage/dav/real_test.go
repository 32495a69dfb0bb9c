//go:build real

package dav_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/storagetest"
	"davbus.org/davbus/service/lab"
)

// realServers are each real server by each way to it.
var realServers = []struct {
	name  string
	start func(lab.T) *lab.Server
	unix  bool
}{
	{"radicale over TCP", lab.Radicale, false},
	{"radicale over a Unix socket", lab.Radicale, true},
	{"xandikos over TCP", lab.Xandikos, false},
	{"xandikos over a Unix socket", lab.XandikosOnSocket, true},
}

func TestRealServersKeepThePromisesOfAStorage(t *testing.T) {
	for _, rs := range realServers {
		t.Run(rs.name, func(t *testing.T) {
			server := rs.start(t)
			socket := ""
			if rs.unix {
				socket = server.Socket
			}
			s, _ := account(t, server.URL+"/", socket, lab.Alice, lab.AlicePassword)
			var n atomic.Int32
			for _, kind := range []string{engine.Calendar, engine.AddressBook} {
				t.Run(kind, func(t *testing.T) {
					storagetest.Suite{Kind: kind, Fresh: func(tb testing.TB) engine.Storage {
						c, err := s.Make(tb.Context(), engine.Collection{Name: fmt.Sprint("c", n.Add(1)), Kind: kind})
						if err != nil {
							tb.Fatal(err)
						}
						st, err := s.Open(c)
						if err != nil {
							tb.Fatal(err)
						}
						return st
					}}.Run(t)
				})
			}
		})
	}
}
