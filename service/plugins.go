package service

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/feed"
	"davbus.org/davbus/engine/keeper"
	"davbus.org/davbus/transports/route"
)

// plugins are the kinds of account that are kept by plugins, and the plugins
// that keep accounts now.
type plugins struct {
	faults  []pluginFault
	where   []string // the folders that descriptions lie below
	dirs    dirs
	changed chan struct{} // of one place: how a plugin stands may have changed
	backoff time.Duration // before the second start; it doubles

	mu         sync.Mutex
	files      map[string]pluginFile
	strikes    map[engine.AccountID][]time.Time
	kept       map[*kept]bool
	registered map[string]*registration
	tickets    map[string]*ticket // by cookie

	// Set by attach, before any account is opened.
	bus    *conn.Conn
	door   string // where plugins connect to
	ledger notes
	keeper pluginKeeper
	log    *log
}

// notes keeps small facts over restarts.
type notes interface {
	Note(name string, value any) error
	Noted(name string, into any) (bool, error)
}

// pluginKeeper is what plugins need of the keeper.
type pluginKeeper interface {
	Sync(keeper.SyncRequest) (engine.JobID, error)
	Watch() (*engine.Snapshot, *feed.Sub)
	OpenAccount(ctx context.Context, id engine.AccountID) (*keeper.OpenedAccount, error)
	SetKind(name string, kind keeper.Kind) error
}

func newPlugins(d dirs, where []string) *plugins {
	files, faults := findPlugins(where)
	return &plugins{
		files: files, faults: faults, where: where, dirs: d, changed: make(chan struct{}, 1), backoff: time.Second,
		strikes: map[engine.AccountID][]time.Time{}, kept: map[*kept]bool{}, registered: map[string]*registration{}, tickets: map[string]*ticket{},
	}
}

// attach tells what plugins may ask for.
func (p *plugins) attach(n notes, k pluginKeeper, l *log) {
	p.ledger, p.keeper, p.log = n, k, l
	for _, f := range p.faults {
		l.fault("the plugin described in "+f.path+" cannot be used", f.err)
	}
}

// look reads the descriptions again: plugins that were installed meanwhile are
// there, and what is opened from now on follows those that were changed.
func (p *plugins) look() {
	files, faults := findPlugins(p.where)
	for _, f := range faults {
		p.log.fault("the plugin described in "+f.path+" cannot be used", f.err)
	}
	for id, f := range files {
		p.mu.Lock()
		old, known := p.files[id]
		f.onBus, f.met = old.onBus, old.met
		p.files[id] = f
		p.mu.Unlock()
		if known && reflect.DeepEqual(f, old) {
			continue
		}
		if err := p.keeper.SetKind("plugin:"+id, p.kind(id, f)); err != nil {
			p.log.fault("the plugin "+id+" cannot be used", err)
		}
	}
	p.touch()
}

// touch has the bus look how the plugins stand. It does not wait.
func (p *plugins) touch() {
	select {
	case p.changed <- struct{}{}:
	default: // one that is not seen yet says it too
	}
}

// table adds the kinds.
func (p *plugins) table(to keeper.Kinds) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, f := range p.files {
		to["plugin:"+id] = p.kind(id, f)
	}
}

// kind is what accounts of a plugin are like.
func (p *plugins) kind(id string, f pluginFile) keeper.Kind {
	params := []engine.ParamSpec{
		{Name: "command", Signature: "as", Command: true, Summary: "Another program to start than the plugin's own"},
		{Name: "via", Signature: "s", Summary: "How it is reached: exec:COMMAND, as in exec:ssh HOST davbus plugin serve ID, or unix:/PATH; else as the plugin says"},
		{Name: "timeouts", Signature: "as", Summary: "METHOD=SECONDS: how long a call may take, where the plugin's own times do not fit"},
		{Name: "read-only", Signature: "b", Default: false, Summary: "Never write there"},
	}
	for _, q := range f.Parameters {
		params = append(params, engine.ParamSpec{Name: q.Name, Signature: q.Signature, Required: q.Required, Secret: q.Secret, Default: q.Default, Choices: q.Choices, Summary: q.Summary})
	}
	return keeper.Kind{
		Params: params,
		Syntax: func(given engine.Params) error {
			_, err := timeoutsOf(f, given)
			_, wrong := viaOf(given)
			return errors.Join(err, wrong)
		},
		Place: p.place,
		Open: func(_ context.Context, cfg engine.AccountConfig, s keeper.AccountSecrets) (engine.Source, error) {
			return p.open(id, f, cfg, s)
		},
	}
}

// place is how an account says that its plugin is reached.
func (p *plugins) place(given engine.Params) keeper.Place {
	via, err := viaOf(given)
	if err != nil || via.Kind == route.TCP {
		return keeper.Place{Transport: "none"}
	}
	return keeper.Place{Transport: via.Kind, Address: via.Addr}
}

// viaOf reads the parameter via; a route of TCP stands for none.
func viaOf(given engine.Params) (route.Route, error) {
	via, _ := given["via"].(string)
	r, err := route.Parse(via)
	if err == nil && via != "" && r.Kind != route.Exec && r.Kind != route.Unix {
		err = errors.New("the parameter \"via\" of a plugin is exec:COMMAND or unix:/PATH")
	}
	return r, err
}

// learn adds a plugin that was not known before.
func (p *plugins) learn(id string, f pluginFile) error {
	p.mu.Lock()
	old, known := p.files[id]
	if !known {
		p.files[id] = f
	} else if f.onBus {
		old.onBus = true
		p.files[id] = old
	}
	p.mu.Unlock()
	if known || p.keeper == nil {
		return nil
	}
	return p.keeper.SetKind("plugin:"+id, p.kind(id, f))
}

// accounts are those that a plugin keeps and that are enabled.
func (p *plugins) accounts(id string) []engine.AccountID {
	snapshot, sub := p.keeper.Watch()
	sub.Close()
	var ids []engine.AccountID
	for _, account := range slices.Sorted(maps.Keys(snapshot.Accounts)) {
		if a := snapshot.Accounts[account]; a.Kind == "plugin:"+id && a.Enabled && a.AccountConfig.Invalid == nil {
			ids = append(ids, account)
		}
	}
	return ids
}

// arrived has the accounts of a plugin synced whose program has come.
func (p *plugins) arrived(id string) {
	p.mu.Lock()
	for k := range p.kept {
		if k.id == id {
			delete(p.strikes, k.account)
		}
	}
	p.mu.Unlock()
	p.touch()
	for _, account := range p.accounts(id) {
		// One that is in no group has nothing to sync.
		_, _ = p.keeper.Sync(keeper.SyncRequest{What: string(account), Initiator: "push"})
	}
}

// Three strikes within this time and a plugin is not started again by itself.
const (
	maxStrikes = 3
	strikeTime = 10 * time.Minute
)

// mayStart counts starts: a plugin that ends again and again is left alone. Each
// start after the first waits a while, twice as long as the one before.
func (p *plugins) mayStart(ctx context.Context, id engine.AccountID) error {
	p.mu.Lock()
	now := time.Now()
	recent := slices.DeleteFunc(p.strikes[id], func(at time.Time) bool { return now.Sub(at) >= strikeTime })
	p.strikes[id] = recent
	if len(recent) > maxStrikes {
		p.mu.Unlock()
		return engine.Fail(engine.PluginGone, "start the plugin of", string(id), "it ended %d times within %v; it is tried again when that time is over, or after davbus plugin restart", len(recent), strikeTime)
	}
	p.strikes[id] = append(recent, now)
	p.mu.Unlock()
	if len(recent) == 0 {
		return nil
	}
	wait := time.NewTimer(p.backoff << (len(recent) - 1))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return engine.Fail(engine.Cancelled, "start the plugin of", string(id), "%w", context.Cause(ctx))
	}
}

// forgive forgets how often the plugin of an account failed.
func (p *plugins) forgive(id engine.AccountID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.strikes, id)
}
