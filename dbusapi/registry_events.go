package dbusapi

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
)

// An Event is one announcement, numbered by whoever passes it on.
type Event struct {
	Path   string `json:"path"`
	Signal string `json:"signal"` // "org.davbus.Sync1.Manager.JobNew"
	Args   []any  `json:"arguments"`

	Losable bool `json:"-"` // progress: what follows makes it good
}

// An ObjectState is one object of a snapshot.
type ObjectState struct {
	Path       string
	Interfaces any
}

// Subscribe gives all objects, and has tell called for each signal after that, in
// order and without a gap. tell must not wait.
func (c *Local) Subscribe(tell func(Event)) ([]ObjectState, func(), error) {
	give, err := c.face.quota.take(c.who.Name, "subscription", maxFeeds)
	if err != nil {
		return nil, nil, err
	}
	objects, stop, err := c.face.tree.Follow(c.who.Name, func(s tree.Signal) {
		tell(Event{Path: string(s.Path), Signal: s.Interface + "." + s.Member, Args: toJSON(s.Args).([]any), Losable: losable(s)})
	})
	if err != nil {
		give()
		return nil, nil, errors.Join(err)
	}
	var out []ObjectState
	for _, p := range slices.Sorted(maps.Keys(objects)) {
		out = append(out, ObjectState{string(p), toJSON(objects[p])})
	}
	return out, func() { stop(); give() }, nil
}

// losable tells what a slow reader may miss: how far a job has come, and the
// names of items.
func losable(s tree.Signal) bool {
	switch s.Member {
	case "Items", "ItemsChanged":
		return true
	case "PropertiesChanged":
		if len(s.Args) != 3 || !strings.HasPrefix(string(s.Path), jobPrefix) && !strings.HasPrefix(string(s.Path), streamPrefix) {
			return false
		}
		changed, _ := s.Args[1].(map[string]dbus.Variant)
		_, state := changed["State"]
		return !state
	}
	return false
}
