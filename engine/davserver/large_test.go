//go:build !race

package davserver_test

import (
	"strings"
	"testing"

	"davbus.org/davbus/engine/davserver/davtest"
)

// The race detector makes reading 64 MiB of XML take half a minute.
func TestXMLIsReadUpTo64MiB(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	p := newPeer(t, srv)
	large := func(n int) string {
		const head, tail = `<propfind xmlns="DAV:"><allprop/>`, `</propfind>`
		return head + strings.Repeat(" ", n-len(head)-len(tail)) + tail
	}
	p.want(207, "PROPFIND", "/", large(64<<20), "Depth", "0")
	p.want(413, "PROPFIND", "/", large(64<<20+1), "Depth", "0")
}
