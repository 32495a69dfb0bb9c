//go:build race

package merge

// The detector makes it all ten times slower, and there is nothing here that could
// race.
const sharedEvery = 5 // file of the shared corpus is taken
