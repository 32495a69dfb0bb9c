//go:build real && further

package dav_test

import (
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/service/lab"
)

func TestFurtherRealServersKeepThePromisesTheOtherWayToo(t *testing.T) {
	way{"radicale over a Unix socket", lab.Radicale, true}.promises(t, engine.Calendar)
	way{"xandikos over TCP", lab.Xandikos, false}.promises(t, engine.Calendar)
}
