//go:build !race

package plan

const most = 3 // members that rows have at most
