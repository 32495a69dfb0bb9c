package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/plugin/check"
)

type pluginCmd struct {
	List    pluginListCmd    `cmd:"" help:"List the plugins that are installed, and the accounts that they keep."`
	Check   pluginCheckCmd   `cmd:"" help:"Try a plugin against davbus-plugin(7) and say what it does wrong; needs no daemon."`
	Restart pluginRestartCmd `cmd:"" help:"End the plugin of one account, or of all accounts that a plugin keeps, and forget how often it failed."`
}

type pluginListCmd struct{}

func (c *pluginListCmd) Run(r *runtime) error {
	m, err := r.client.Manager(r.ctx)
	if err != nil {
		return err
	}
	objects, err := r.client.Objects(r.ctx)
	if err != nil {
		return err
	}
	accounts := client.Each(objects, "Account")
	var rows [][]string
	plain := []map[string]any{}
	for _, kind := range m.Strs("AccountKinds") {
		id, ok := strings.CutPrefix(kind, "plugin:")
		if !ok {
			continue
		}
		used := false
		for _, a := range accounts {
			if a.Str("Kind") != kind {
				continue
			}
			used = true
			rows = append(rows, []string{id, a.Str("Id"), a.Str("State"), a.Str("ErrorName")})
			plain = append(plain, map[string]any{"plugin": id, "account": a.Str("Id"), "state": a.Str("State"), "error-name": a.Str("ErrorName")})
		}
		if !used {
			rows = append(rows, []string{id, "", "", ""})
			plain = append(plain, map[string]any{"plugin": id})
		}
	}
	return r.list([]string{"PLUGIN", "ACCOUNT", "STATE", "ERROR"}, rows, plain, "No plugins are installed: see davbus-plugin(7).")
}

type pluginCheckCmd struct {
	Param    []string      `sep:"none" placeholder:"NAME=VALUE" help:"A parameter of the account; may be repeated. true, false, whole numbers and JSON lists are taken as such."`
	ReadOnly bool          `help:"Write nothing. Otherwise one item is made and removed."`
	Timeout  time.Duration `default:"10s" help:"How long each call may take."`
	Command  []string      `arg:"" passthrough:"" help:"The program and its arguments."`
}

func (c *pluginCheckCmd) Run(r *runtime) error {
	params := map[string]any{}
	for _, word := range c.Param {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return usageError(fmt.Sprintf("%q is not NAME=VALUE", word))
		}
		var v any
		if json.Unmarshal([]byte(value), &v) != nil {
			v = value
		}
		params[name] = v
	}
	argv := c.Command
	if len(argv) > 0 && argv[0] == "--" {
		argv = argv[1:]
	}
	if len(argv) == 0 {
		return usageError("no program is named")
	}
	if r.json {
		return usageError("this command prints no JSON")
	}
	if check.Run(r.ctx, check.Options{Argv: argv, Params: params, ReadOnly: c.ReadOnly, Timeout: c.Timeout}, r.out) > 0 {
		r.code = exitFailed
	}
	return nil
}

type pluginRestartCmd struct {
	ID string `arg:"" help:"An account, or a plugin."`
}

// Run switches accounts off and on: that ends their plugins.
func (c *pluginRestartCmd) Run(r *runtime) error {
	objects, err := r.client.Objects(r.ctx)
	if err != nil {
		return err
	}
	var ids []string
	for _, a := range client.Each(objects, "Account") {
		kind, ok := strings.CutPrefix(a.Str("Kind"), "plugin:")
		if ok && a.Bool("Enabled") && (a.Str("Id") == c.ID || kind == c.ID) {
			ids = append(ids, a.Str("Id"))
		}
	}
	if len(ids) == 0 {
		return fmt.Errorf("no enabled account %q is kept by a plugin, and no plugin %q keeps one: see davbus plugin list", c.ID, c.ID)
	}
	slices.Sort(ids)
	for _, id := range ids {
		for _, on := range []bool{false, true} {
			if err := r.client.Set(r.ctx, client.AccountPath(id), client.Name+".Account", "Enabled", on); err != nil {
				return err
			}
		}
		if !r.json {
			say(r.out, "The plugin of %s is started anew when it is needed.", id)
		}
	}
	return nil
}
