//go:build !race

package group_test

const (
	stormCount = 2000
	stormTwice = true
	everyNth   = 1 // request of a sync meets a fault
)
