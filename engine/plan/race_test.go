//go:build race

package plan

// The detector makes it all ten times slower, and there is nothing here that
// could race.
const (
	most       = 2 // members that rows have at most
	worldCount = 10_000
)
