package keeper

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/ledger"
)

// lookAll looks at all accounts of a job at once and gives a view of each. An
// account that cannot be read is no failure of the job.
func (k *Keeper) lookAll(ctx context.Context, j *job, fresh bool) map[engine.AccountID]view {
	views := map[engine.AccountID]view{}
	k.post(func() {
		for id := range j.accounts {
			views[id] = k.viewFor(j, id)
		}
		k.newPlaces(j, views)
	})
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for id, v := range maps.Clone(views) {
		if v.err != nil {
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if v.toFound && !j.dry {
				v.err = k.kind(v.cfg.Kind).Found(v.cfg.Params)
			}
			if v.err == nil {
				v.cols, v.err = k.lookAt(ctx, v.handle, fresh)
			}
			if v.toFound && j.dry && engine.IsKind(v.err, engine.Offline) {
				v.err = nil // it would be made, with nothing in it
			}
			mu.Lock()
			defer mu.Unlock()
			views[id] = v
		})
	}
	wg.Wait()
	return views
}

// viewFor is what is known of an account before it is looked at; with an error
// if there is no use in looking. The schedule leaves a failing account alone
// until its time has come, a caller does not.
func (k *Keeper) viewFor(j *job, id engine.AccountID) view {
	a := k.accounts[id]
	if a == nil {
		return view{cfg: engine.AccountConfig{ID: id}, err: engine.Fail(engine.NotFound, "sync", string(id), "there is no account of this id")}
	}
	v := a.view()
	switch {
	case !a.cfg.Enabled:
		v.err = engine.Fail(engine.Disabled, "sync", string(id), "the account is disabled")
	case a.cfg.Invalid != nil:
		v.err = a.cfg.Invalid
	case j.auto && a.retry.After(k.now()) && a.failure.Set:
		v.err = engine.Fail(a.failure.Kind, "sync", string(id), "it is tried again at %s: %s", a.retry.Format(time.TimeOnly), a.failure.Message)
	case j.auto && !k.online && k.overNetwork(a):
		v.err = engine.Fail(engine.Offline, "sync", string(id), "there is no network")
	default:
		v.handle = a.handle.use()
		return v
	}
	v.handle = nil
	return v
}

// newPlaces marks the accounts that were never read and in which a group of the
// job wants missing collections made.
func (k *Keeper) newPlaces(j *job, views map[engine.AccountID]view) {
	for _, g := range j.groups {
		if k.groups[g] == nil {
			continue
		}
		for _, m := range k.groups[g].cfg.CreateMissing {
			a := k.accounts[memberAccount(m)]
			if a != nil && a.success.IsZero() && len(a.known) == 0 && k.kind(a.cfg.Kind).Found != nil {
				v := views[a.cfg.ID]
				v.toFound = true
				views[a.cfg.ID] = v
			}
		}
	}
}

// overNetwork reports whether an account needs the network: a server on this very
// machine does not.
func (k *Keeper) overNetwork(a *account) bool {
	kind := k.kind(a.cfg.Kind)
	if kind.Place == nil || a.cfg.Invalid != nil {
		return false
	}
	p := kind.Place(a.cfg.Params)
	host, _, err := net.SplitHostPort(p.Address)
	here := err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
	return p.Transport == "tcp" && !here
}

// leaveAll gives back the sources that lookAll took.
func (k *Keeper) leaveAll(views map[engine.AccountID]view) {
	k.post(func() {
		for _, v := range views {
			if v.handle != nil {
				v.handle.leave()
			}
		}
	})
}

// lookAt looks at one account, gives ids to what it finds and remembers it.
func (k *Keeper) lookAt(ctx context.Context, h *handle, fresh bool) ([]seen, error) {
	if err := h.wait(ctx); err != nil {
		return nil, err
	}
	defer h.done()
	id := h.cfg.ID
	found, caps, err := h.look(ctx, fresh)
	if err != nil {
		if ctx.Err() != nil {
			return nil, cancelled("look at", string(id), ctx)
		}
		k.post(func() { k.accountFailed(h, err) })
		return nil, err
	}
	known, err := k.opt.Ledger.CollectionIDs(id)
	if err != nil {
		return nil, err
	}
	if known == nil {
		known = map[string]ledger.KnownCollection{}
	}
	kept, forgotten := giveIDs(known, found)
	if err := k.keepCollections(id, known, kept, forgotten); err != nil {
		return nil, err
	}
	k.post(func() { k.accountAnswered(h, known, caps, len(kept)+len(forgotten) > 0) })
	return seenOf(h.cfg, known), nil
}

func seenOf(cfg engine.AccountConfig, known map[string]ledger.KnownCollection) []seen {
	a := account{cfg: cfg, known: known}
	return a.view().cols
}

func (k *Keeper) keepCollections(id engine.AccountID, known map[string]ledger.KnownCollection, kept, forgotten []string) error {
	for _, identity := range forgotten {
		if err := k.opt.Ledger.ForgetCollection(id, identity); err != nil {
			return err
		}
	}
	for _, identity := range kept {
		if err := k.opt.Ledger.KeepCollection(id, identity, known[identity]); err != nil {
			return err
		}
	}
	return nil
}

// accountAnswered records that an account was read.
func (k *Keeper) accountAnswered(h *handle, known map[string]ledger.KnownCollection, caps []string, changed bool) {
	a := k.accounts[h.cfg.ID]
	if a == nil || a.handle != h {
		return
	}
	k.opt.Secrets.Accepted(a.cfg.ID)
	a.attempt = k.now()
	a.success = a.attempt
	a.caps = slices.Clone(caps)
	a.failure, a.status, a.streak, a.retry = engine.Failure{}, 0, 0, time.Time{}
	a.known = known
	if changed {
		k.refilter(a)
	}
	k.touchAccount(a.cfg.ID)
}

// accountFailed records why an account could not be read, and when it is tried
// again.
func (k *Keeper) accountFailed(h *handle, err error) {
	var asked time.Duration
	status := 0
	if e, ok := errors.AsType[*engine.Error](err); ok {
		asked, status = e.RetryAfter, e.Status
	}
	k.failAccount(h, engine.FailureOf(err), status, asked)
}

func (k *Keeper) failAccount(h *handle, f engine.Failure, status int, asked time.Duration) {
	a := k.accounts[h.cfg.ID]
	if a == nil || a.handle != h || f.Kind == engine.Cancelled {
		return
	}
	if f.Kind == engine.AuthFailed {
		k.opt.Secrets.Rejected(a.cfg.ID)
	}
	a.attempt, a.failure, a.status = k.now(), f, status
	a.streak++
	a.retry = a.attempt.Add(k.retryIn(f, a.streak, asked))
	k.touchAccount(a.cfg.ID)
}

// ofAccount reports whether a failure is one of the whole account and not of a
// single collection.
func ofAccount(f engine.Failure) bool {
	switch f.Kind {
	case engine.Offline, engine.Timeout, engine.AuthRequired, engine.AuthFailed, engine.SecretLocked, engine.CertUntrusted,
		engine.CertExpired, engine.CertHostMismatch, engine.CertRevoked, engine.CertInvalid, engine.ConnectionRefused,
		engine.ConnectionLost, engine.HostNotFound, engine.ServerError, engine.ServerBusy, engine.PluginMissing,
		engine.PluginGone, engine.PluginProtocol, engine.PluginError:
		return f.Set
	}
	return false
}
