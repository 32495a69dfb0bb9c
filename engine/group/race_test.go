//go:build race

package group_test

const stormCount = 30 // the detector makes SQLite thirty times slower
