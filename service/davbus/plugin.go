package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/plugin/check"
)

type pluginCmd struct {
	List    pluginListCmd    `cmd:"" help:"List the plugins that are installed, and the accounts that they keep."`
	Check   pluginCheckCmd   `cmd:"" help:"Try a plugin against davbus-plugin(7) and say what it does wrong; needs no daemon."`
	Restart pluginRestartCmd `cmd:"" help:"End the plugin of one account, or of all accounts that a plugin keeps, forget how often it failed, and start it again."`
	Serve   pluginServeCmd   `cmd:"" help:"Offer an account of this machine as a plugin on standard input and output: for the davbus of another machine, by ssh."`
}

type pluginListCmd struct{}

func (c *pluginListCmd) Run(r *runtime) error {
	objects, err := r.client.Objects(r.ctx)
	if err != nil {
		return err
	}
	accounts := client.Each(objects, "Account")
	var rows [][]string
	plain := []map[string]any{}
	for _, p := range client.Each(objects, "Plugin") {
		id, used := p.Str("Id"), []string{}
		for _, a := range accounts {
			if a.Str("Kind") == "plugin:"+id {
				used = append(used, a.Str("Id"))
			}
		}
		rows = append(rows, []string{id, p.Str("State"), strings.Join(used, ","), fmt.Sprint(p.Int("PendingCalls")), fmt.Sprint(p.Int("Restarts")), p.Str("ErrorName")})
		entry := p.Plain()
		entry["accounts"] = used
		plain = append(plain, entry)
	}
	return r.list([]string{"PLUGIN", "STATE", "ACCOUNTS", "CALLS", "RESTARTS", "ERROR"}, rows, plain, "No plugins are installed: see davbus-plugin(7).")
}

type pluginCheckCmd struct {
	Param    []string      `sep:"none" placeholder:"NAME=VALUE" help:"A parameter of the account; may be repeated. true, false, whole numbers and JSON lists are taken as such."`
	Secret   string        `placeholder:"NAME" help:"A secret parameter that the plugin asks for; its value is asked for, or is the first line of standard input."`
	ReadOnly bool          `help:"Write nothing. Otherwise one item is made and removed."`
	Timeout  time.Duration `default:"10s" help:"How long each call may take."`
	Command  []string      `arg:"" passthrough:"" help:"The program and its arguments."`
}

func (*pluginCheckCmd) needsNoDaemon() {}

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
	secrets := map[string]string{}
	if c.Secret != "" {
		value, err := readSecretLine(c.Secret)
		if err != nil {
			return err
		}
		secrets[c.Secret] = string(value)
	}
	if check.Run(r.ctx, check.Options{Argv: argv, Params: params, Secrets: secrets, ReadOnly: c.ReadOnly, Timeout: c.Timeout}, r.out) > 0 {
		r.code = exitFailed
	}
	return nil
}
