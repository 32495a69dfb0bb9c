package service

import (
	"slices"
	"strings"
	"sync"
)

const maxRecent = 500

// recent keeps the newest lines of the log.
type recent struct {
	mu    sync.Mutex
	lines []string
}

func (r *recent) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) == maxRecent {
		r.lines = slices.Delete(r.lines, 0, 1)
	}
	r.lines = append(r.lines, strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// Recent gives the newest lines, oldest first.
func (l *log) Recent(most int) []string {
	r := l.recent
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines[max(0, len(r.lines)-most):])
}
