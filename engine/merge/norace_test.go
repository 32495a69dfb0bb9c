//go:build !race

package merge

const sharedEvery = 1 // file of the shared corpus is taken
