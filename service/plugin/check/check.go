// Package check tries a storage plugin against davbus-plugin(7), for its author:
// it says what the plugin does wrong, and how davbus would take it.
//
// It writes: it makes one item in the first collection that can be written, and
// removes it again.
package check

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/remote"
	"davbus.org/davbus/transports/plugin"
)

// Options say what is tried.
type Options struct {
	Argv     []string
	Env      []string // the whole environment; nil: that which davbusd gives a plugin
	Params   engine.Params
	Secrets  map[string]string
	ReadOnly bool          // write nothing
	Timeout  time.Duration // for each call; default 10 s

	dir string // where it is started; "" is the root folder
}

// A verdict is what came of one rule.
type verdict struct {
	rule string
	err  error
}

// A checker works its way through the rules. What one rule learned, the next
// ones use; after a failure that leaves nothing to go on with, it ends.
type checker struct {
	opt    Options
	tell   func(verdict)
	failed int
	conn   *plugin.Conn // of source
	source *remote.Source
	stderr lines
}

// Run tries a plugin, prints a line for each rule, and tells how many it broke.
func Run(ctx context.Context, o Options, out io.Writer) (broken int) {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if len(o.Argv) > 0 { // one that is not found, is said to be missing when it is started
		if path, err := exec.LookPath(o.Argv[0]); err == nil {
			if path, err = filepath.Abs(path); err == nil {
				o.Argv = append([]string{path}, o.Argv[1:]...)
			}
		}
	}
	if o.Env == nil {
		home, _ := os.UserHomeDir() // without one, davbusd does not run either
		o.Env, o.dir = plugin.Environment(home), home
	}
	c := &checker{opt: o, tell: func(v verdict) {
		if v.err == nil {
			fmt.Fprintf(out, "ok      %s\n", v.rule)
			return
		}
		fmt.Fprintf(out, "BROKEN  %s\n        %v\n", v.rule, v.err)
		if what := advice(v.err); what != "" {
			fmt.Fprintf(out, "        %s\n", what)
		}
	}}
	c.all(ctx)
	if c.failed == 0 {
		fmt.Fprintln(out, "The plugin keeps every rule that was tried.")
		return 0
	}
	fmt.Fprintf(out, "The plugin breaks %d of the rules: see davbus-plugin(7).\n", c.failed)
	for _, line := range c.stderr.last() {
		fmt.Fprintln(out, "it wrote: "+line)
	}
	return c.failed
}

// advice says what to do, where the error alone may not be enough.
func advice(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "not a JSON object"):
		return "Standard output is for the lines of the protocol alone: print everything else to standard error."
	case engine.IsKind(err, engine.Timeout):
		return "Read standard input line by line, answer each line that has an \"id\", and flush standard output after each answer."
	case engine.IsKind(err, engine.PluginGone):
		return "What it wrote to standard error before it ended stands below, if anything."
	}
	return ""
}

// rule tries one rule and tells whether it was kept.
func (c *checker) rule(text string, err error) bool {
	if err != nil {
		c.failed++
	}
	c.tell(verdict{text, err})
	return err == nil
}

func (c *checker) all(ctx context.Context) {
	c.source = c.open()
	defer func() { c.source.Close() }()
	found, err := c.source.Look(ctx, true)
	if !c.rule("it starts, speaks protocol 1 and tells its collections", err) {
		return
	}
	c.rule("it answers a method that it does not know with an error, and goes on", c.unknownMethod(ctx))
	c.rule("it outlives a call that is broken off", c.cancelled(ctx, found))
	for _, col := range found {
		if !c.reads(ctx, col) {
			return
		}
	}
	if !c.opt.ReadOnly {
		for _, col := range found {
			if col.Writable {
				c.writes(ctx, col)
				break
			}
		}
	}
	c.rule("it ends when its standard input ends", c.ends())
	c.rule("it neither hangs nor talks nonsense when it is sent nonsense", c.garbage(ctx))
}

// open is an account of the plugin that is not started yet.
func (c *checker) open() *remote.Source {
	timeouts := plugin.DefaultTimeouts()
	for method := range timeouts {
		timeouts[method] = c.opt.Timeout
	}
	for _, method := range []string{"initialize", "discover", unknownMethod} {
		timeouts[method] = c.opt.Timeout
	}
	return remote.New(remote.Options{Account: "check", Params: c.opt.Params, Host: &host{c: c, state: map[string]string{}},
		Dial: func(_ context.Context, to *remote.Source) (remote.Caller, error) {
			conn, err := plugin.Start(plugin.Options{Notify: to.Notify, Handle: to.Handle, Timeouts: timeouts,
				Argv: c.opt.Argv, Env: c.opt.Env, Dir: c.opt.dir, Stderr: c.stderr.add})
			if err != nil {
				return nil, err
			}
			c.conn = conn
			return conn, nil
		}})
}

// lines keeps the last lines that a plugin wrote.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all = append(l.all, line); len(l.all) > 10 {
		l.all = l.all[1:]
	}
}

func (l *lines) last() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.all...)
}

// A host stands in for davbus.
type host struct {
	c     *checker
	mu    sync.Mutex
	state map[string]string
}

var _ remote.Host = (*host)(nil)

func (h *host) State(collection, key string) (string, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	value, ok := h.state[collection+"/"+key]
	return value, ok, nil
}

func (h *host) SetState(collection, key string, value *string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if value == nil {
		delete(h.state, collection+"/"+key)
	} else {
		h.state[collection+"/"+key] = *value
	}
	return nil
}

func (h *host) Secret(_ context.Context, name string) ([]byte, error) {
	secret, ok := h.c.opt.Secrets[name]
	if !ok {
		return nil, engine.Fail(engine.AuthRequired, "give the secret", name, "it was not given: see davbus plugin check --help")
	}
	return []byte(secret), nil
}

func (h *host) Group(collection string) (map[string]any, error) {
	return map[string]any{"account": "check", "collection": collection, "groups": []any{}}, nil
}

func (h *host) RequestSync(string) error { return nil }
func (h *host) Log(_, text string)       { h.c.stderr.add(text) }
