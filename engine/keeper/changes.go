package keeper

import (
	"strconv"

	"davbus.org/davbus/engine"
)

// A changeLog is what changed in one collection, by name, for those who hold an
// earlier revision. It is kept over restarts.
type changeLog struct {
	Floor uint64 // nothing is known of what changed up to here
	Items map[string]loggedChange
}

type loggedChange struct {
	Revision uint64
	Gone     bool `json:",omitempty"`
}

// mostLogged is how many names a log holds; beyond that it begins anew, and who
// comes with an earlier revision reads everything.
const mostLogged = 2048

func changeLogName(id engine.MemberID) string { return "changes " + string(id) }

// setDone shows what a set did to its collections.
func (k *Keeper) setDone(j *job, run *setRun, views map[engine.AccountID]view) {
	k.changing.Lock()
	defer k.changing.Unlock()
	revisions, err := k.logChanges(j, run.result.Changed)
	if err != nil && !run.result.Set.Failure.Set {
		run.result.Set.Failure = engine.FailureOf(err)
	}
	k.post(func() {
		now := k.now()
		for _, m := range run.result.Members {
			id := engine.MemberID(m.ID)
			v := views[memberAccount(m.ID)]
			if m.Failure.Set && v.err == nil && ofAccount(m.Failure) && v.handle != nil {
				k.failAccount(v.handle, m.Failure, 0, 0)
			}
			changed := run.result.Changed[id]
			changed.Collection = id
			moved := len(changed.Added)+len(changed.Modified)+len(changed.Removed) > 0
			k.editCollection(id, func(st *engine.CollectionState) {
				if n, ok := run.result.Count[id]; ok {
					st.ItemCount = uint32(n)
				}
				if meta, ok := run.result.Meta[id]; ok {
					st.Meta = meta
				}
				switch {
				case moved:
					st.Revision = strconv.FormatUint(revisions[id], 10)
				case st.Revision == "":
					st.Revision = strconv.FormatUint(uint64(j.st.ID), 10)
				}
				st.Failure = m.Failure
				if !m.Failure.Set {
					st.LastSuccess = now
				}
			})
			k.itemsChanged(changed, now)
		}
	})
}

// logChanges writes down what a set changed, and gives each collection that moved
// its new revision. Call it under k.changing.
func (k *Keeper) logChanges(j *job, changed map[engine.MemberID]engine.ItemsChanged) (map[engine.MemberID]uint64, error) {
	revisions := map[engine.MemberID]uint64{}
	for id, c := range changed {
		if len(c.Added)+len(c.Modified)+len(c.Removed) == 0 {
			continue
		}
		before := uint64(0)
		k.post(func() {
			if col := k.cols[id]; col != nil {
				before = revisionOf(col.st.Revision)
			}
		})
		now := max(uint64(j.st.ID), before+1) // jobs need not end in the order of their numbers
		revisions[id] = now
		log := changeLog{Floor: before}
		if _, err := k.opt.Ledger.Noted(changeLogName(id), &log); err != nil {
			return revisions, err
		}
		log.add(c, now)
		if err := k.opt.Ledger.Note(changeLogName(id), log); err != nil {
			return revisions, err
		}
	}
	return revisions, nil
}

func (l *changeLog) add(c engine.ItemsChanged, now uint64) {
	if l.Items == nil {
		l.Items = map[string]loggedChange{}
	}
	for _, name := range c.Added {
		l.Items[name] = loggedChange{Revision: now}
	}
	for _, name := range c.Modified {
		l.Items[name] = loggedChange{Revision: now}
	}
	for _, name := range c.Removed {
		l.Items[name] = loggedChange{Revision: now, Gone: true}
	}
	if len(l.Items) > mostLogged {
		l.Floor, l.Items = now, nil
	}
}

func revisionOf(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64) // "" is none yet
	return n
}

// ChangedSince tells the names of items that changed at the opened collection
// since a revision of the one that was asked for, and what its revision is now.
// Full says that this is not known that far back, and that everything is to be
// read.
func (k *Keeper) ChangedSince(asked engine.MemberID, o *Opened, since string) (names []string, now string, full bool, err error) {
	err = k.ask(func() error {
		c := k.cols[asked]
		if c == nil {
			return engine.Fail(engine.NotFound, "export", string(asked), "there is no collection of this id")
		}
		if now = c.st.Revision; now == "" && len(c.st.Groups) == 0 {
			return engine.Fail(engine.NotSupported, "export", string(asked), "no group keeps this collection in step, so that it has no revisions; leave out since-revision")
		}
		return nil
	})
	from, bad := strconv.ParseUint(since, 10, 64)
	if err != nil || since == "" {
		return nil, now, true, err
	}
	if bad != nil {
		return nil, now, true, engine.Fail(engine.Invalid, "export", string(asked), "%q is no revision; take it from the property Revision, or from the last line of an export", since)
	}
	if since == now {
		return nil, now, false, nil
	}
	var log changeLog
	known, err := k.opt.Ledger.Noted(changeLogName(o.ID), &log)
	if err != nil || !known || from < log.Floor || from > revisionOf(now) {
		return nil, now, true, err
	}
	for name, c := range log.Items {
		if c.Revision > from {
			names = append(names, name)
		}
	}
	return names, now, false, nil
}
