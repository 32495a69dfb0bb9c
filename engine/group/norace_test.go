//go:build !race

package group_test

const (
	stormCount = 2000
	everyNth   = 1 // request of a sync meets a fault
)
