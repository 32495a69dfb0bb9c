//go:build race

package group_test

const (
	stormCount = 200   // the detector makes SQLite thirty times slower
	stormTwice = false // nor does it see more in the same storm
	everyNth   = 5     // request of a sync meets a fault
)
