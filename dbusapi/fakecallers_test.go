package dbusapi

import (
	"maps"
	"slices"
	"sync"
)

// A fakeLog is a log that is only looked at.
type fakeLog struct{ level string }

func (l *fakeLog) Level() string { return l.level }
func (l *fakeLog) SetLevel(s string) error {
	l.level = s
	return nil
}
func (l *fakeLog) Target() string      { return "console" }
func (l *fakeLog) Recent(int) []string { return []string{"a line"} }

// A fakeCallers makes everybody the same caller, who leaves when it is told to.
type fakeCallers struct {
	mu   sync.Mutex
	who  Caller
	left map[int]func()
	n    int
	fail error // of Gone
}

func newFakeCallers() *fakeCallers {
	return &fakeCallers{who: Caller{Name: ":1.7", Initiator: "org.example.App"}, left: map[int]func(){}}
}

func (c *fakeCallers) Identify(string) Caller {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.who
}

func (c *fakeCallers) be(who Caller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.who = who
}

func (c *fakeCallers) Gone(_ string, left func()) (func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return nil, c.fail
	}
	c.n++
	n := c.n
	c.left[n] = left
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.left, n)
	}, nil
}

// leave makes the caller leave the bus.
func (c *fakeCallers) leave() {
	c.mu.Lock()
	all := slices.Collect(maps.Values(c.left))
	clear(c.left)
	c.mu.Unlock()
	for _, left := range all {
		left()
	}
}

func (c *fakeCallers) followed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.left)
}
