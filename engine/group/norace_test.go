//go:build !race

package group_test

const stormCount = 2000
