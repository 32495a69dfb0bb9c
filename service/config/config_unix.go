//go:build unix

package config

import "golang.org/x/sys/unix"

// openFlags keep an open for writing from waiting for a reader of a named pipe.
const openFlags = unix.O_NONBLOCK | unix.O_CLOEXEC
