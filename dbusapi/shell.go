package dbusapi

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

func (f *Face) shell() tree.Interface {
	return tree.Interface{Name: ifShell, Methods: map[string]any{
		"Sync":        f.shellSync,
		"SyncAndWait": f.syncAndWait,
		"Wait":        f.shellWait,
		"Cancel":      f.shellCancel,
		"List":        f.list,
		"Status":      f.status,
		"Export":      func(c tree.Call, what string) (string, error) { return f.shellStream(c, "export", what) },
		"Import":      func(c tree.Call, what string) (string, error) { return f.shellStream(c, "import", what) },
		"Serve":       func(c tree.Call, what string) (string, error) { return f.shellStream(c, "serve", what) },
		"Proxy":       func(c tree.Call, what string) (string, error) { return f.shellStream(c, "proxy", what) },
	}}
}

func (f *Face) shellSync(c tree.Call, what string) (string, error) {
	id, err := f.sync(f.caller(c), unname(what), nil)
	return string(jobPath(id)), err
}

func (f *Face) syncAndWait(c tree.Call, what string) (string, error) {
	id, err := f.sync(f.caller(c), unname(what), nil)
	if err != nil {
		return "", err
	}
	return f.result(c, id)
}

func (f *Face) shellWait(c tree.Call, which string) (string, error) {
	id, ok := jobNamed(which)
	if !ok {
		return "", invalid("wait", "%q is neither the path nor the number of a job", which)
	}
	return f.result(c, id)
}

// result waits for a job's end and gives its result, or its own error.
func (f *Face) result(c tree.Call, id engine.JobID) (string, error) {
	r, err := f.ending(c, id, 0, false)
	if err == nil {
		err = raise(r)
	}
	return text(r.Result), err
}

func (f *Face) shellCancel(c tree.Call, which string) error {
	who := f.caller(c)
	ids, err := f.jobsNamed(which)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := f.cancel(who, id, false); err != nil {
			return err
		}
	}
	f.settle()
	return nil
}

// jobsNamed understands a path, a number, or the id of what is being synced.
func (f *Face) jobsNamed(which string) (ids []engine.JobID, err error) {
	if id, ok := jobNamed(which); ok {
		return []engine.JobID{id}, nil
	}
	target, err := f.host.Lookup(unname(which))
	if err != nil {
		return nil, err
	}
	for _, j := range f.view.active() {
		if j.Target == target {
			ids = append(ids, j.ID)
		}
	}
	if len(ids) == 0 {
		return nil, engine.Fail(engine.NotFound, "cancel", everything(which), "no job works on it")
	}
	return ids, nil
}

var listKinds = []string{"accounts", "collections", "groups", "jobs", "conflicts", "plugins"}

func (f *Face) list(kind string) ([]string, error) {
	switch kind {
	case "accounts":
		return each(sorted(f.view, f.view.accounts), func(a *engine.AccountState) string { return name(string(a.ID)) }), nil
	case "collections":
		return each(sorted(f.view, f.view.collections), func(c *engine.CollectionState) string { return name(string(c.ID)) }), nil
	case "groups":
		return each(sorted(f.view, f.view.groups), func(g *engine.GroupState) string { return name(string(g.ID)) }), nil
	case "jobs":
		return each(sorted(f.view, f.view.jobs), func(j *job) string { return strconv.FormatUint(uint64(j.state.ID), 10) }), nil
	case "conflicts":
		ids := []string{}
		for _, c := range sorted(f.view, f.view.conflicts) {
			if f.view.hasConflict(c.ID) {
				ids = append(ids, name(c.ID))
			}
		}
		return ids, nil
	case "plugins":
		return []string{}, nil // there are none in this build
	}
	return nil, invalid("list", "%q is no kind of object; there are %s", kind, quoted(listKinds))
}

// status describes what is there, for people.
func (f *Face) status(what string) ([]string, error) {
	target := engine.Target{}
	if what != "" {
		var err error
		if target, err = f.host.Lookup(unname(what)); err != nil {
			return nil, err
		}
	}
	all := target == engine.Target{}
	lines := []string{}
	for _, a := range sorted(f.view, f.view.accounts) {
		if all || a.ID == target.Account {
			lines = append(lines, statusLine(string(a.ID), a.State, a.LastSuccess, f.nextOf(a), a.Failure))
		}
	}
	for _, c := range sorted(f.view, f.view.collections) {
		if c.ID == target.Collection {
			state := "ok"
			if c.Failure.Set {
				state = "error"
			}
			lines = append(lines, statusLine(string(c.ID), state, c.LastSuccess, time.Time{}, c.Failure))
		}
	}
	for _, g := range sorted(f.view, f.view.groups) {
		if all || g.ID == target.Group {
			lines = append(lines, statusLine(string(g.ID), g.State, g.LastSuccess, g.NextRun, g.Failure))
		}
	}
	return lines, nil
}

// nextOf is when an account is next contacted: to try it again, or with the
// first of its groups.
func (f *Face) nextOf(a *engine.AccountState) time.Time {
	next := a.NextAttempt
	for _, g := range sorted(f.view, f.view.groups) {
		if slices.ContainsFunc(g.Members, func(m string) bool { return accountOf(m) == a.ID }) && !g.NextRun.IsZero() {
			next = earlier(next, g.NextRun)
		}
	}
	return next
}

func statusLine(id, state string, last, next time.Time, f engine.Failure) string {
	line := fmt.Sprintf("%s: %s, last success %s, next run %s", name(id), text(state), when(last), when(next))
	if f.Set {
		line += ", " + message(f.Message)
	}
	return line
}

// when writes a time for people.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
