package dbusapi

import (
	"context"
	"maps"
	"time"

	"davbus.org/davbus/engine"
)

func (h *fakeHost) AddAccount(cfg engine.AccountConfig, ensure bool) (engine.AccountID, error) {
	if err := h.call("AddAccount", cfg); err != nil {
		return "", err
	}
	if cfg.ID == "" {
		cfg.ID = "account-1"
	}
	h.account(cfg.ID, func(a *engine.AccountState) { a.AccountConfig = cfg })
	return cfg.ID, nil
}

func (h *fakeHost) UpdateAccount(id engine.AccountID, set engine.Params, unset []string) ([]string, error) {
	if err := h.call("UpdateAccount", set, unset); err != nil {
		return nil, err
	}
	h.account(id, func(a *engine.AccountState) {
		a.Params = maps.Clone(a.Params)
		maps.Copy(a.Params, set)
	})
	return []string{"url"}, nil
}

func (h *fakeHost) SetAccountName(id engine.AccountID, displayName string) error {
	if err := h.call("SetAccountName", displayName); err != nil {
		return err
	}
	h.account(id, func(a *engine.AccountState) { a.DisplayName = displayName })
	return nil
}

func (h *fakeHost) EnableAccount(id engine.AccountID, on bool) error {
	if err := h.call("EnableAccount", on); err != nil {
		return err
	}
	h.account(id, func(a *engine.AccountState) { a.Enabled = on })
	return nil
}

func (h *fakeHost) RemoveAccount(id engine.AccountID, forget bool) error {
	if err := h.call("RemoveAccount", forget); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.state.Accounts, id)
	h.feed.Publish(engine.AccountGone{ID: id})
	return nil
}

func (h *fakeHost) SetSecret(id engine.AccountID, name string, value []byte, store string) error {
	return h.call("SetSecret", name, string(value), store)
}

func (h *fakeHost) ForgetSecret(id engine.AccountID, name, _ string) error {
	return h.call("ForgetSecret", name)
}

func (h *fakeHost) Discover(id engine.AccountID, forgetGone bool, by Caller) (engine.JobID, error) {
	return h.job("discover", engine.Target{Account: id}, by, "Discover", forgetGone)
}

func (h *fakeHost) Check(id engine.AccountID, try engine.Params, by Caller) (engine.JobID, error) {
	return h.job("check", engine.Target{Account: id}, by, "Check", try)
}

func (h *fakeHost) CreateCollection(ctx context.Context, id engine.AccountID, c engine.Collection) (engine.MemberID, error) {
	if err := h.call("CreateCollection", c); err != nil {
		return "", err
	}
	member := engine.MemberID(string(id) + "/" + c.ID)
	h.publish(engine.CollectionChanged{State: &engine.CollectionState{ID: member, Account: id, Collection: c}})
	return member, nil
}

func (h *fakeHost) UpdateCollection(id engine.MemberID, set engine.Meta, unset []engine.MetaKey, by Caller) (engine.JobID, error) {
	return h.job("sync", engine.Target{Collection: id}, by, "UpdateCollection", set, unset)
}

func (h *fakeHost) Parameters(kind string) ([]engine.ParamSpec, error) {
	if kind != "dav" {
		return nil, engine.Fail(engine.NotSupported, "make an account", "", "there is no kind %q", kind)
	}
	return []engine.ParamSpec{
		{Name: "url", Signature: "s", Required: true, Summary: "where the server is"},
		{Name: "via", Signature: "s"},
		{Name: "password", Signature: "s", Secret: true},
		{Name: "password-command", Signature: "as", Command: true},
		{Name: "auth", Signature: "s", Default: "auto", Choices: []string{"auto", "basic"}},
		{Name: "interval-sec", Signature: "u", Default: uint32(900)},
		{Name: "read-only", Signature: "b", Default: false},
	}, nil
}

func (h *fakeHost) AddGroup(cfg engine.GroupConfig, ensure bool) (engine.GroupID, error) {
	if err := h.call("AddGroup", cfg); err != nil {
		return "", err
	}
	if cfg.ID == "" {
		cfg.ID = "group-1"
	}
	h.group(cfg.ID, func(g *engine.GroupState) { g.GroupConfig = cfg })
	return cfg.ID, nil
}

func (h *fakeHost) UpdateGroup(id engine.GroupID, set map[string]any, unset []string) ([]string, error) {
	if err := h.call("UpdateGroup", set, unset); err != nil {
		return nil, err
	}
	h.group(id, func(g *engine.GroupState) {
		for key, v := range set {
			switch key {
			case "enabled":
				g.Enabled = v.(bool)
			case "conflict-policy":
				g.ConflictPolicy = v.(string)
			case "interval-sec":
				g.IntervalSec = v.(uint32)
			}
		}
	})
	return []string{}, nil
}

func (h *fakeHost) RemoveGroup(id engine.GroupID) error {
	if err := h.call("RemoveGroup", id); err != nil {
		return err
	}
	h.publish(engine.GroupGone{ID: id})
	return nil
}

func (h *fakeHost) AddMember(id engine.GroupID, member string) error {
	return h.call("AddMember", member)
}
func (h *fakeHost) RemoveMember(id engine.GroupID, member string) error {
	return h.call("RemoveMember", member)
}
func (h *fakeHost) ResetState(id engine.GroupID) error { return h.call("ResetState", id) }

func (h *fakeHost) ConfirmDeletions(id engine.GroupID, proceed bool, member engine.MemberID, expect *uint32, by Caller) (engine.JobID, error) {
	return h.job("sync", engine.Target{Group: id}, by, "ConfirmDeletions", proceed, member, expect)
}

func (h *fakeHost) Conflicts(what string, offset, limit int) ([]engine.ConflictState, error) {
	return []engine.ConflictState{*conflictState("c1", 1), *conflictState("no-object", 2)}, h.call("Conflicts", what, offset, limit)
}

func (h *fakeHost) Problems(what string, heldOnly bool, offset, limit int) ([]engine.Problem, error) {
	return []engine.Problem{
		{Group: "home", Member: "work/cal", Item: "a.ics", Failure: engine.Failure{Kind: engine.InvalidItem, Message: "no UID", Set: true}, Tries: 2},
		{Group: "home", Member: "local/cal", Item: "b.ics", Held: true},
	}, h.call("Problems", what, heldOnly, offset, limit)
}

func (h *fakeHost) ConflictTexts(id string) (engine.ConflictTexts, error) {
	err := h.call("ConflictTexts", id)
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.texts, err
}

func (h *fakeHost) Resolve(id string, r engine.Resolution, by Caller) (engine.JobID, error) {
	return h.job("resolve", engine.Target{Group: "home"}, by, "Resolve", r)
}

func (h *fakeHost) Versions(m engine.MemberID, item string, offset, limit int) ([]engine.Version, error) {
	return []engine.Version{{ID: 5, Item: "a.ics", Reason: "deleted", Job: 7}}, h.call("Versions", m, item)
}

func (h *fakeHost) Restore(m engine.MemberID, item string, version uint64, asCopy bool, by Caller) (engine.JobID, error) {
	return h.job("restore", engine.Target{Collection: m}, by, "Restore", item, version, asCopy)
}

func (h *fakeHost) Undo(job engine.JobID, member engine.MemberID, dryRun bool, by Caller) (engine.JobID, error) {
	return h.job("undo", engine.Target{}, by, "Undo", job, member, dryRun)
}

func (h *fakeHost) Explain(m engine.MemberID, item string) ([]string, error) {
	return []string{"because"}, h.call("Explain", m, item)
}

func (h *fakeHost) Repair(m engine.MemberID, dryRun bool, by Caller) (engine.JobID, error) {
	return h.job("repair", engine.Target{Collection: m}, by, "Repair", dryRun)
}

func (h *fakeHost) manager(f func(*engine.ManagerState)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(&h.state.Manager)
	h.feed.Publish(engine.ManagerChanged{State: h.state.Manager})
}

func (h *fakeHost) Pause(d time.Duration, cancelRunning bool) error {
	if err := h.call("Pause", d, cancelRunning); err != nil {
		return err
	}
	h.manager(func(m *engine.ManagerState) { m.State = "paused" })
	return nil
}

func (h *fakeHost) Resume() error {
	if err := h.call("Resume"); err != nil {
		return err
	}
	h.manager(func(m *engine.ManagerState) { m.State = "idle" })
	return nil
}

func (h *fakeHost) Inhibit(what, reason string) (func(), error) {
	if err := h.call("Inhibit", what, reason); err != nil {
		return nil, err
	}
	h.add(1)
	return func() { h.add(-1) }, nil
}

func (h *fakeHost) add(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held += n
}

func (h *fakeHost) inhibitors() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held
}

func (h *fakeHost) Reload(dryRun bool) ([]string, error) {
	err := h.call("Reload", dryRun)
	if !dryRun {
		h.mu.Lock()
		h.state.Manager.ConfigState = map[bool]string{true: "loaded", false: "invalid"}[err == nil]
		h.feed.Publish(engine.ManagerChanged{State: h.state.Manager})
		h.mu.Unlock()
	}
	return []string{"work"}, err
}

func (h *fakeHost) Statistics() map[string]uint64 { return map[string]uint64{"jobs": 3} }
func (h *fakeHost) Quit(finishJobs bool)          { h.quit <- finishJobs }

func (h *fakeHost) Facts() Facts {
	return Facts{Version: "1.2", Started: time.Unix(5, 0), ConfigPath: "/c", Capabilities: []string{"unix-fd"}, StreamTypes: []string{}}
}
