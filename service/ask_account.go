package service

import (
	"context"
	"time"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/keeper"
)

// jobPatience is how long a job waits for a person. The question stays: its answer
// is used by the next one.
const jobPatience = 2 * time.Minute

// storeTrial keeps a secret for the session, and in the keyring as well once the
// server has taken it: a wrong one never replaces a good one.
const storeTrial = "trial"

// mend is how a job that somebody waits for has a person asked; nil if nobody
// can be asked. What was answered while the job tried is not asked again.
func (a *secretary) mend(id engine.AccountID, f engine.Failure, since time.Time) func(context.Context) bool {
	st := a.program.keeper.Snapshot().Accounts[id]
	stale := func(q *question) bool { return q == nil || q.over() && (q.about != f.Kind || q.at.Before(since)) }
	a.mu.Lock()
	q := a.accounts[id]
	a.mu.Unlock()
	if st == nil || stale(q) && !a.canAsk(st, f) {
		return nil
	}
	return func(ctx context.Context) bool {
		a.mu.Lock()
		q := a.accounts[id]
		if stale(q) {
			q = a.begin(f.Kind, func(ctx context.Context) (bool, error) { return a.askAccount(ctx, st, f) })
			a.accounts[id] = q
		}
		a.mu.Unlock()
		timer := time.NewTimer(jobPatience)
		defer timer.Stop()
		select {
		case <-q.done:
			return q.ok
		case <-timer.C:
		case <-ctx.Done():
		}
		return false
	}
}

// canAsk reports whether there is a question that would mend a failure, and
// somebody to ask it.
func (a *secretary) canAsk(st *engine.AccountState, f engine.Failure) bool {
	if !st.Enabled || !keeper.Mendable(f) {
		return false
	}
	if f.Kind == engine.AuthRequired && (st.SecretState == "session" || st.SecretState == "stored") {
		return false // it has come meanwhile
	}
	if f.Kind == engine.AuthRequired || f.Kind == engine.AuthFailed {
		return needsSecret(st.AccountConfig) && command(st.AccountConfig, "password") == nil && a.agents.Any(dbusapi.AboutSecrets)
	}
	return a.program.kinds.refusedBy(st) != nil && a.agents.Any(dbusapi.AboutCertificates)
}

// reviewAccounts asks once for each change: what was sent away is not asked
// again because it failed again.
func (a *secretary) reviewAccounts(s *engine.Snapshot) {
	settled(a.accounts, func(id engine.AccountID, q *question) bool {
		st := s.Accounts[id]
		return st != nil && st.Enabled && st.Failure.Kind == q.about && keeper.Mendable(st.Failure) && !q.nobody
	})
	for id, st := range s.Accounts {
		q := a.accounts[id]
		if q == nil || q.over() && q.ok && q.at.Before(st.LastAttempt) {
			if f := st.Failure; a.canAsk(st, f) {
				a.accounts[id] = a.begin(f.Kind, func(ctx context.Context) (bool, error) { return a.askAccount(ctx, st, f) })
			}
		}
	}
}

// askAccount asks what one account needs, one account at a time.
func (a *secretary) askAccount(ctx context.Context, st *engine.AccountState, f engine.Failure) (bool, error) {
	select {
	case <-a.turn:
		defer func() { a.turn <- struct{}{} }()
	case <-ctx.Done():
		return false, nil
	}
	if f.Kind == engine.AuthRequired || f.Kind == engine.AuthFailed {
		return a.askSecret(ctx, st, f)
	}
	return a.askCertificate(ctx, st)
}

func (a *secretary) askSecret(ctx context.Context, st *engine.AccountState, f engine.Failure) (bool, error) {
	q := dbusapi.SecretQuestion{Account: st.ID, Name: "password", Reason: "missing", URL: st.URL, User: userOf(st.AccountConfig)}
	if f.Kind == engine.AuthFailed {
		q.Reason = "rejected"
	}
	value, store, err := a.agents.Secret(ctx, q)
	if err != nil {
		return false, err
	}
	defer clear(value)
	if store == "keyring" {
		store = storeTrial
	}
	err = a.program.keeper.SetSecret(st.ID, q.Name, value, store)
	return err == nil, err
}

func (a *secretary) askCertificate(ctx context.Context, st *engine.AccountState) (bool, error) {
	shown := a.program.kinds.refusedBy(st)
	if shown == nil {
		return false, nil
	}
	pin, err := a.agents.Certificate(ctx, st.ID, shown.Host, shown.PEM(), shown.Problems(time.Now()))
	if err != nil || !pin {
		return false, err
	}
	_, err = a.program.keeper.UpdateAccount(st.ID, engine.Params{"tls-pin": shown.Pin()}, nil)
	return err == nil, err
}
