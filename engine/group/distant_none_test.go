//go:build !real

package group_test

import "testing"

// Without the tag real there are no other servers than ours.
var distantServers []string

func newDistant(t *testing.T, name string) *distant {
	t.Fatalf("there is no %s without the tag real", name)
	return nil
}

func stopServers() {}
