package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/adrg/xdg"
	"github.com/goccy/go-yaml"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/feed"
	"davbus.org/davbus/engine/keeper"
	"davbus.org/davbus/engine/storage/remote"
	"davbus.org/davbus/transports/plugin"
)

// A pluginFile describes a plugin: see davbus-plugin(7). It lies in
// davbus/plugins/ID.yaml below one of the XDG data folders; the user's comes
// before the system's.
type pluginFile struct {
	Name        string           `yaml:"name"`
	Description string           `yaml:"description"`
	Command     []string         `yaml:"command"`
	Parameters  []pluginParam    `yaml:"parameters"`
	Timeouts    map[string]int64 `yaml:"timeouts-sec"`
}

type pluginParam struct {
	Name      string   `yaml:"name"`
	Signature string   `yaml:"signature"`
	Required  bool     `yaml:"required"`
	Secret    bool     `yaml:"secret"`
	Choices   []string `yaml:"choices"`
	Summary   string   `yaml:"summary"`
}

var pluginID = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)

// A fault of a plugin's file makes that plugin unusable, and nothing else.
type pluginFault struct {
	path string
	err  error
}

// findPlugins reads the descriptions of all installed plugins, by id.
func findPlugins(dirs []string) (map[string]pluginFile, []pluginFault) {
	found := map[string]pluginFile{}
	var faults []pluginFault
	for _, dir := range dirs {
		names, _ := filepath.Glob(filepath.Join(dir, "davbus", "plugins", "*.yaml"))
		for _, path := range names {
			id := strings.TrimSuffix(filepath.Base(path), ".yaml")
			if _, ok := found[id]; ok {
				continue
			}
			f, err := readPlugin(id, path)
			if err != nil {
				faults = append(faults, pluginFault{path, err})
				continue
			}
			found[id] = f
		}
	}
	return found, faults
}

func readPlugin(id, path string) (pluginFile, error) {
	var f pluginFile
	if !pluginID.MatchString(id) {
		return f, errors.New("the file's name is the plugin's id: a letter, then at most 63 letters, digits and _")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	if err := yaml.UnmarshalWithOptions(text, &f, yaml.Strict()); err != nil {
		return f, fmt.Errorf("%s: %s", path, yaml.FormatError(err, false, true))
	}
	if len(f.Command) == 0 {
		return f, errors.New(`it needs "command", the program and its arguments`)
	}
	for _, p := range f.Parameters {
		switch p.Signature {
		case "s", "b", "u", "as":
		default:
			return f, fmt.Errorf("the parameter %q has the signature %q; it must be s, b, u or as", p.Name, p.Signature)
		}
	}
	return f, nil
}

// pluginDirs are where descriptions of plugins lie, the first before the others.
func pluginDirs() []string { return append([]string{xdg.DataHome}, xdg.DataDirs...) }

// plugins are the kinds of account that are kept by plugins.
type plugins struct {
	files  map[string]pluginFile
	faults []pluginFault
	dirs   dirs

	mu      sync.Mutex
	strikes map[engine.AccountID][]time.Time

	// Set by attach, before any account is opened.
	ledger notes
	keeper pluginKeeper
	log    *log
}

// notes keeps small facts over restarts.
type notes interface {
	Note(name string, value any) error
	Noted(name string, into any) (bool, error)
}

// pluginKeeper is what plugins may ask of the keeper.
type pluginKeeper interface {
	Sync(keeper.SyncRequest) (engine.JobID, error)
	Watch() (*engine.Snapshot, *feed.Sub)
}

func newPlugins(d dirs, where []string) *plugins {
	files, faults := findPlugins(where)
	return &plugins{files: files, faults: faults, dirs: d, strikes: map[engine.AccountID][]time.Time{}}
}

// attach tells what plugins may ask for.
func (p *plugins) attach(n notes, k pluginKeeper, l *log) {
	p.ledger, p.keeper, p.log = n, k, l
	for _, f := range p.faults {
		l.fault("the plugin described in "+f.path+" cannot be used", f.err)
	}
}

// table adds the kinds.
func (p *plugins) table(to keeper.Kinds) {
	for id, f := range p.files {
		params := []engine.ParamSpec{
			{Name: "command", Signature: "as", Command: true, Summary: "Another program to start than the plugin's own"},
			{Name: "read-only", Signature: "b", Default: false, Summary: "Never write there"},
		}
		for _, q := range f.Parameters {
			params = append(params, engine.ParamSpec{Name: q.Name, Signature: q.Signature, Required: q.Required, Secret: q.Secret, Choices: q.Choices, Summary: q.Summary})
		}
		to["plugin:"+id] = keeper.Kind{Params: params, Open: func(_ context.Context, cfg engine.AccountConfig, s keeper.AccountSecrets) (engine.Source, error) {
			return p.open(f, cfg, s), nil
		}}
	}
}

// Three strikes within this time and a plugin is not started again by itself.
const (
	maxStrikes = 3
	strikeTime = 10 * time.Minute
)

// open makes the account. Its plugin is started when it is first needed. An
// account is opened anew when a person changed it or switched it off and on:
// then its strikes are forgotten.
func (p *plugins) open(f pluginFile, cfg engine.AccountConfig, s keeper.AccountSecrets) engine.Source {
	p.mu.Lock()
	delete(p.strikes, cfg.ID)
	p.mu.Unlock()
	host := &pluginHost{plugins: p, account: cfg.ID, secrets: s}
	argv, _ := cfg.Params["command"].([]string)
	if argv == nil {
		argv = f.Command
	}
	given := engine.Params{}
	for name, value := range cfg.Params {
		if name != "command" && name != "read-only" {
			given[name] = value
		}
	}
	timeouts := plugin.DefaultTimeouts()
	for method, sec := range f.Timeouts {
		timeouts[method] = time.Duration(sec) * time.Second
	}
	return remote.New(remote.Options{Account: string(cfg.ID), Params: given, Host: host, Dial: func(_ context.Context, to *remote.Source) (remote.Caller, error) {
		if err := p.mayStart(cfg.ID); err != nil {
			return nil, err
		}
		return plugin.Start(plugin.Options{
			Notify: to.Notify, Handle: to.Handle, Timeouts: timeouts, Argv: argv, Env: p.environment(), Dir: p.dirs.home,
			Stderr: func(line string) { host.Log("info", line) },
		})
	}})
}

// environment is what a plugin gets of ours: where things are, and no more.
func (p *plugins) environment() []string {
	env := []string{"HOME=" + p.dirs.home, "DAVBUS_PLUGIN=1"}
	for _, name := range []string{"PATH", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "DBUS_SESSION_BUS_ADDRESS"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// mayStart counts starts: a plugin that ends again and again is left alone.
func (p *plugins) mayStart(id engine.AccountID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	recent := p.strikes[id][:0]
	for _, at := range p.strikes[id] {
		if now.Sub(at) < strikeTime {
			recent = append(recent, at)
		}
	}
	if len(recent) > maxStrikes {
		p.strikes[id] = recent
		return engine.Fail(engine.PluginGone, "start the plugin of", string(id), "it ended %d times within %v; it is tried again when that time is over, or after davbus plugin restart", len(recent), strikeTime)
	}
	p.strikes[id] = append(recent, now)
	return nil
}

// A pluginHost is what the plugin of one account may ask for.
type pluginHost struct {
	plugins *plugins
	account engine.AccountID
	secrets keeper.AccountSecrets
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

func (h *pluginHost) Log(level, text string) { h.plugins.log.plugin(string(h.account), level, text) }
