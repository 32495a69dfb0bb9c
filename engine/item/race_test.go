//go:build race

package item_test

// The detector makes it all ten times slower, and there is nothing here that could
// race.
const settleRounds = 300
