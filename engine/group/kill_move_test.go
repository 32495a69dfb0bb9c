package group_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"davbus.org/davbus/engine/davserver/davtest"
)

// Killed, and then somebody gives the account another path or url, at a copy or at
// nothing, or another folder takes the place of the old: marks belong to the storage,
// and nothing looks deleted.
func TestKilledAndMovedNothingIsLost(t *testing.T) {
	everyStep(t, 7*everyNth, func(t *testing.T, kill int) bool {
		c, want, met := killed(t, kill)
		switch kill % 5 {
		case 0:
			c.movePath(true)
		case 1:
			c.movePath(false)
		case 2:
			c.moveURL()
		case 3:
			c.replaceFolder(true)
		case 4:
			c.replaceFolder(false)
		}
		before := c.values()
		c.restart()
		for range 3 {
			if _, err := c.sync(); err != nil {
				t.Errorf("killed at step %d: %v", kill, err)
			}
		}
		after := c.values()
		for v := range before {
			if _, meant := want[v.uid]; meant && !after[v] { // else somebody deleted it
				t.Errorf("killed at step %d and moved: %v is lost", kill, v)
			}
		}
		return met
	})
}

// movePath gives the folders another root: a copy, or one with an empty calendar.
func (c *cards) movePath(copied bool) {
	files := os.DirFS(filepath.Join(c.root, "cal"))
	c.root = c.t.TempDir()
	if err := os.Mkdir(filepath.Join(c.root, "cal"), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if copied {
		if err := os.CopyFS(filepath.Join(c.root, "cal"), files); err != nil {
			c.t.Fatal(err)
		}
	}
}

// replaceFolder puts another folder in the place of the calendar's: a copy, or an
// empty one.
func (c *cards) replaceFolder(copied bool) {
	place, old := filepath.Join(c.root, "cal"), filepath.Join(c.t.TempDir(), "old")
	err := os.Rename(place, old)
	if err == nil {
		err = os.Mkdir(place, 0o700)
	}
	if err == nil && copied {
		err = os.CopyFS(place, os.DirFS(old))
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// moveURL gives the account another server, with a copy of the calendar.
func (c *cards) moveURL() {
	texts := c.remote.Texts()
	c.server = davtest.New(c.t, davtest.Options{})
	c.remote = c.server.Calendar("cal")
	for ref, text := range texts {
		c.remote.Put(ref, []byte(text))
	}
}

// A said is what an item says somewhere: that it is there, or a value of somebody.
type said struct {
	uid   string
	value int
}

// values is all that is said on either side, but for what was replaced in the
// edits of mixed.
func (c *cards) values() map[said]bool {
	all := map[said]bool{}
	files, _ := c.files()
	for _, text := range append(files, slices.Collect(maps.Values(c.remote.Texts()))...) {
		uid, v := read([]byte(text))
		all[said{uid, 0}] = true
		for _, value := range v {
			if value >= 100 {
				all[said{uid, value}] = true
			}
		}
	}
	return all
}
