package keeper

import (
	"reflect"
	"slices"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/ledger"
)

// account is one account as it lives.
type account struct {
	cfg     engine.AccountConfig
	handle  *handle // its source; made anew when the configuration changes
	turn    chan struct{}
	watch   *watch
	known   map[string]ledger.KnownCollection // by identity
	caps    []string
	failure engine.Failure
	status  int            // HTTP status of the failure
	told    engine.Failure // what Attention was told of, until it is well again
	streak  int            // failures in a row
	retry   time.Time      // when a failing account is tried again
	attempt time.Time
	success time.Time
	idleRun int       // runs in a row that a touch caused and that found nothing
	touched time.Time // when the debounce of a touch ends
	where   map[string]bool
}

// accountNote is what is remembered of an account over restarts.
type accountNote struct {
	Attempt, Success time.Time
	Capabilities     []string
	Collections      map[string]collectionNote // by id
}

type collectionNote struct {
	Success  time.Time
	Count    uint32
	Revision string
}

func accountNoteName(id engine.AccountID) string { return "account/" + string(id) + "/" }

// putAccount takes an account in, with what is remembered of it.
func (k *Keeper) putAccount(cfg engine.AccountConfig) error {
	cfg.Params = cloneParams(cfg.Params)
	if cfg.Invalid == nil {
		cfg.Invalid = k.checkAccount("use", cfg)
	}
	var note accountNote
	if _, err := k.opt.Ledger.Noted(accountNoteName(cfg.ID), &note); err != nil {
		return err
	}
	known, err := k.opt.Ledger.CollectionIDs(cfg.ID)
	if err != nil {
		return err
	}
	a := &account{
		cfg: cfg, known: known, caps: note.Capabilities, attempt: note.Attempt, success: note.Success,
		turn: make(chan struct{}, 1), where: map[string]bool{},
	}
	a.turn <- struct{}{}
	a.handle = k.newHandle(cfg, a.turn)
	if cfg.Invalid != nil {
		a.failure = engine.FailureOf(cfg.Invalid)
	}
	k.accounts[cfg.ID] = a
	for _, kc := range known {
		if wanted(cfg, kc.ID) {
			k.putCollection(a, kc, note.Collections[kc.ID])
		}
	}
	k.touchAccount(cfg.ID)
	for _, g := range k.groups {
		if g.uses(cfg.ID) {
			k.applyMembers(g)
		}
	}
	return nil
}

// settleAccount publishes an account if it is not as it was, and asks for the
// user's attention once for each change.
func (k *Keeper) settleAccount(a *account) {
	st := k.accountState(a)
	if !reflect.DeepEqual(st, k.next.Accounts[a.cfg.ID]) {
		k.emit(engine.AccountChanged{State: st})
	}
	switch {
	case !a.cfg.Enabled || !needsUser(a.failure):
		if !a.failure.Set || !a.cfg.Enabled {
			a.told = engine.Failure{}
		}
	case !a.told.Set || a.told.Kind != a.failure.Kind:
		a.told = a.failure
		k.emit(engine.Attention{Account: a.cfg.ID, Failure: a.failure, URL: st.URL, Status: a.status})
	}
}

func (k *Keeper) accountState(a *account) *engine.AccountState {
	st := &engine.AccountState{
		AccountConfig: a.cfg, State: k.accountWord(a), Failure: a.failure, Transport: "none",
		SecretState: k.opt.Secrets.State(a.cfg), Capabilities: a.caps,
		LastAttempt: a.attempt, LastSuccess: a.success, NextAttempt: a.retry,
	}
	if kind := k.kind(a.cfg.Kind); kind.Place != nil && a.cfg.Invalid == nil {
		p := kind.Place(a.cfg.Params)
		st.URL, st.Transport, st.TransportAddress = p.URL, p.Transport, p.Address
	}
	for id, c := range k.cols {
		if c.account == a.cfg.ID {
			st.Collections = append(st.Collections, id)
		}
	}
	slices.Sort(st.Collections)
	return st
}

func (k *Keeper) accountWord(a *account) string {
	uses := func(j *job) bool { return j.accounts[a.cfg.ID] }
	switch {
	case !a.cfg.Enabled:
		return "disabled"
	case slices.ContainsFunc(k.running, uses):
		return "syncing"
	case slices.ContainsFunc(k.queue, uses):
		return "queued"
	}
	return failureWord(a.failure)
}

// failureWord is the state of an account that fails so.
func failureWord(f engine.Failure) string {
	if !f.Set {
		return "idle"
	}
	switch f.Kind {
	case engine.AuthRequired:
		return "secret-missing"
	case engine.SecretLocked:
		return "secret-locked"
	case engine.CertUntrusted, engine.CertExpired, engine.CertHostMismatch, engine.CertRevoked, engine.CertInvalid:
		return "untrusted-certificate"
	case engine.Offline, engine.HostNotFound, engine.ConnectionRefused, engine.ConnectionLost, engine.Timeout:
		return "offline"
	case engine.PluginMissing, engine.PluginGone:
		return "plugin-missing"
	}
	return "error"
}

// account finds an account, or tells that there is none.
func (k *Keeper) account(op string, id engine.AccountID) (*account, error) {
	if a := k.accounts[id]; a != nil {
		return a, nil
	}
	return nil, engine.Fail(engine.NotFound, op, string(id), "there is no account of this id")
}

func (k *Keeper) accountBusy(id engine.AccountID) bool {
	return slices.ContainsFunc(k.running, func(j *job) bool { return j.accounts[id] })
}
