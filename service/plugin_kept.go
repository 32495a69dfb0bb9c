package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/keeper"
	"davbus.org/davbus/engine/storage/remote"
	"davbus.org/davbus/transports/plugin"
	"davbus.org/davbus/transports/route"
)

// A kept is one account that a plugin keeps, with what is known of the plugin's
// process. Its fields below account belong to plugins.mu.
type kept struct {
	*remote.Source
	plugins  *plugins
	id       string // of the plugin
	file     pluginFile
	argv     []string // of another program than the plugin's own
	timeouts plugin.Timeouts
	host     *pluginHost
	account  engine.AccountID

	state   string // as a PluginState has it
	failure engine.Failure
	busName string
	starts  uint32
	conn    *plugin.Conn
}

// open makes the account. Its plugin is started when it is first needed. An
// account is opened anew when a person changed it or switched it off and on:
// then its strikes are forgotten.
func (p *plugins) open(id string, f pluginFile, cfg engine.AccountConfig, s keeper.AccountSecrets) (engine.Source, error) {
	p.forgive(cfg.ID)
	timeouts, err := timeoutsOf(f, cfg.Params)
	if err != nil {
		return nil, engine.Fail(engine.Invalid, "open", string(cfg.ID), "%w", err)
	}
	k := &kept{plugins: p, id: id, file: f, timeouts: timeouts, account: cfg.ID, state: "activatable"}
	k.host = &pluginHost{plugins: p, account: cfg.ID, secrets: s}
	k.argv, _ = cfg.Params["command"].([]string)
	switch via, err := viaOf(cfg.Params); {
	case err != nil:
		return nil, engine.Fail(engine.Invalid, "open", string(cfg.ID), "%w", err)
	case via.Kind == route.Exec:
		k.argv = via.Argv
	case via.Kind == route.Unix:
		k.file.Command, k.file.Locate, k.file.Socket = nil, nil, via.Addr
	}
	given := engine.Params{}
	for name, value := range cfg.Params {
		if !slices.Contains([]string{"command", "via", "read-only", "timeouts"}, name) {
			given[name] = value
		}
	}
	for _, q := range f.Parameters {
		if _, named := given[q.Name]; !named && q.Default != nil {
			given[q.Name] = q.Default
		}
	}
	k.Source = remote.New(remote.Options{Account: string(cfg.ID), Params: given, Host: k.host, Dial: k.dial})
	p.mu.Lock()
	p.kept[k] = true
	p.mu.Unlock()
	p.touch()
	if k.argv == nil && k.file.Socket != "" {
		return &atSocket{k}, nil
	}
	return k, nil
}

// timeoutsOf are how long calls may take: as the account says, else the
// plugin's description, else the protocol.
func timeoutsOf(f pluginFile, given engine.Params) (plugin.Timeouts, error) {
	timeouts := plugin.DefaultTimeouts()
	for method, sec := range f.Timeouts {
		timeouts[method] = time.Duration(sec) * time.Second
	}
	own, _ := given["timeouts"].([]string)
	for _, word := range own {
		method, sec, ok := strings.Cut(word, "=")
		n, err := strconv.ParseUint(sec, 10, 31)
		if !ok || method == "" || err != nil || n == 0 {
			return nil, fmt.Errorf("the parameter \"timeouts\" has %q; it must be METHOD=SECONDS, as in commit=20", word)
		}
		timeouts[method] = time.Duration(n) * time.Second
	}
	return timeouts, nil
}

// Close ends the plugin of the account.
func (k *kept) Close() error {
	err := k.Source.Close()
	k.plugins.mu.Lock()
	delete(k.plugins.kept, k)
	k.plugins.mu.Unlock()
	k.plugins.touch()
	return err
}

// dial finds or starts the plugin.
func (k *kept) dial(ctx context.Context, to *remote.Source) (remote.Caller, error) {
	k.is("starting", nil)
	c, err := k.find(ctx, plugin.Options{
		Notify: to.Notify, Handle: to.Handle, Timeouts: k.timeouts,
		Env: k.plugins.environment(), Dir: k.plugins.dirs.home, Stderr: func(line string) { k.host.Log("info", line) },
	})
	if err != nil {
		k.is("failed", err)
		return nil, err
	}
	k.plugins.mu.Lock()
	k.conn = c
	k.starts++
	k.plugins.mu.Unlock()
	return observed{c, k}, nil
}

// is notes how the plugin stands.
func (k *kept) is(state string, err error) {
	k.plugins.mu.Lock()
	k.state = state
	if err != nil || state == "connected" {
		k.failure = engine.FailureOf(err)
	}
	if state != "connected" && state != "starting" {
		k.conn, k.busName = nil, ""
	}
	k.plugins.mu.Unlock()
	k.plugins.touch()
}

// observed tells how it goes with a plugin.
type observed struct {
	*plugin.Conn
	kept *kept
}

func (o observed) Call(ctx context.Context, method string, params, result any) error {
	o.kept.plugins.touch()
	err := o.Conn.Call(ctx, method, params, result)
	fault, broken := errors.AsType[*plugin.Fault](err)
	switch {
	case broken && fault.What == "timeout": // of this call; the plugin is there
		o.kept.is("connected", engine.Fail(engine.Timeout, "call the plugin of", string(o.kept.account), "%w", err))
	case broken:
		kind := map[string]engine.Kind{"gone": engine.PluginGone, "missing": engine.PluginMissing, "hung": engine.Timeout}[fault.What]
		if kind == 0 {
			kind = engine.PluginProtocol
		}
		o.kept.is("failed", engine.Fail(kind, "call the plugin of", string(o.kept.account), "%w", err))
	case method == "initialize" && err == nil:
		o.kept.is("connected", nil)
	case method == "initialize":
		o.kept.is("failed", engine.Fail(engine.PluginError, "initialize the plugin of", string(o.kept.account), "%w", err))
	default:
		o.kept.plugins.touch()
	}
	return err
}

// Broke tells that what the plugin said makes no sense.
func (o observed) Broke(err error) { o.kept.is("failed", err) }

func (o observed) Close() error {
	err := o.Conn.Close()
	o.kept.plugins.mu.Lock()
	failed := o.kept.state == "failed"
	mine := o.kept.conn == o.Conn
	o.kept.plugins.mu.Unlock()
	if mine && !failed {
		o.kept.is("gone", nil)
	}
	return err
}

func (p *plugins) environment() []string { return plugin.Environment(p.dirs.home) }
