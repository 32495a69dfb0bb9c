package service

import (
	"context"
	"fmt"
	"sync"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/keeper"
	"davbus.org/davbus/engine/storage/remote"
)

// A pluginHost is what the plugin of one account may ask for.
type pluginHost struct {
	plugins *plugins
	account engine.AccountID
	secrets keeper.AccountSecrets
	said    throttle
}

var _ remote.Host = (*pluginHost)(nil)

func (h *pluginHost) note(collection, key string) string {
	return "plugin/" + string(h.account) + "/" + collection + "/" + key
}

// maxState is how long a text that a plugin keeps with us may be, in bytes.
const maxState = 64 << 10

func (h *pluginHost) State(collection, key string) (string, bool, error) {
	var value *string
	found, err := h.plugins.ledger.Noted(h.note(collection, key), &value)
	if err != nil || !found || value == nil {
		return "", false, err
	}
	return *value, true, nil
}

func (h *pluginHost) SetState(collection, key string, value *string) error {
	if value != nil && len(*value) > maxState {
		return engine.Fail(engine.TooLarge, "keep the state", key, "it has %d bytes; at most %d are kept", len(*value), maxState)
	}
	return h.plugins.ledger.Note(h.note(collection, key), value)
}

func (h *pluginHost) Secret(ctx context.Context, name string) ([]byte, error) {
	return h.secrets.Get(ctx, name)
}

// Group tells which groups a collection is in, and who else is.
func (h *pluginHost) Group(collection string) (map[string]any, error) {
	snapshot, sub := h.plugins.keeper.Watch()
	sub.Close()
	groups := []map[string]any{}
	if c, ok := snapshot.Collections[engine.MemberID(string(h.account)+"/"+collection)]; ok {
		for _, id := range c.Groups {
			if g, ok := snapshot.Groups[id]; ok {
				groups = append(groups, map[string]any{"id": string(id), "members": g.Members, "conflict_policy": g.ConflictPolicy, "last_success": g.LastSuccess})
			}
		}
	}
	return map[string]any{"account": string(h.account), "collection": collection, "groups": groups}, nil
}

func (h *pluginHost) RequestSync(collection string) error {
	what := string(h.account)
	if collection != "" {
		what += "/" + collection
	}
	_, err := h.plugins.keeper.Sync(keeper.SyncRequest{What: what, Initiator: "push"})
	return err
}

func (h *pluginHost) Log(level, text string) {
	ok, left := h.said.take(time.Now())
	if left > 0 {
		h.plugins.log.plugin(string(h.account), "warn", fmt.Sprintf("(%d lines were left out: it says too much)", left))
	}
	if ok {
		h.plugins.log.plugin(string(h.account), level, text)
	}
}

// What a plugin may say: so many lines at once, and so many in a second.
const (
	linesAtOnce = 200
	linesASec   = 10
)

// A throttle lets through as much as it may, and counts what it left out.
type throttle struct {
	mu   sync.Mutex
	used float64 // lines, of those at once
	at   time.Time
	left int
}

// take asks for one more line. Those that were left out before it are told with
// the next that is not.
func (t *throttle) take(now time.Time) (ok bool, left int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used = max(0, t.used-now.Sub(t.at).Seconds()*linesASec)
	t.at = now
	if t.used > linesAtOnce-1 {
		t.left++
		return false, 0
	}
	t.used++
	left, t.left = t.left, 0
	return true, left
}
