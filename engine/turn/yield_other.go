//go:build !linux

package turn

import "runtime"

// yield lets the other goroutines run; the threads of others are the kernel's.
func yield() { runtime.Gosched() }
