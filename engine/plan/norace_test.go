//go:build !race

package plan

const (
	most       = 3 // members that rows have at most
	worldCount = 1_000_000
)
