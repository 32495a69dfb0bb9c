// Package lab starts real servers and a private message bus for tests and for
// the demo: Radicale, Xandikos, dbus-daemon, each with its own configuration in
// a folder that goes away, and proxies that count. What it starts it ends, by
// its process and not by its name. Only tests and the demo import it.
package lab

import (
	"os"
	"path/filepath"
	"time"
)

// A T is what the lab needs of a test; *testing.T and *testing.B have it. A
// program that is no test brings its own.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Cleanup(func())
	TempDir() string
}

// patience is how long a program may take to be ready, or to end.
const patience = 30 * time.Second

// Within polls a condition until it holds or the time is over.
func Within(limit time.Duration, holds func() bool) bool {
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-end.C:
			return holds()
		}
	}
	return true
}

// shortDir is a private folder with a path short enough for sockets, which that
// of a test's own folder may not be.
func shortDir(t T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lab")
	if err != nil {
		t.Fatalf("cannot make a folder for sockets: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func write(t T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatalf("cannot write %s: %v", path, err)
	}
	return path
}
