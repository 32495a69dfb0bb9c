//go:build race

package group_test

const (
	stormCount = 200 // the detector makes SQLite thirty times slower
	everyNth   = 5   // request of a sync meets a fault
)
