//go:build !race

package group_test

const stormCount = 300
