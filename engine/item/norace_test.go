//go:build !race

package item_test

const settleRounds = 3000
