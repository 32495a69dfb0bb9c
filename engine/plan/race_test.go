//go:build race

package plan

// most is how many members rows have at most: the detector makes it all ten times
// slower, and there is nothing here that could race.
const most = 2
