//go:build !linux

package vdir

import (
	"os"
	"testing"
)

// asNobody runs f as a user without rights.
func asNobody(t *testing.T, root string, f func()) {
	if os.Geteuid() == 0 {
		t.Fatal("run this test as an ordinary user: here one thread alone cannot give up its rights")
	}
	f()
}
