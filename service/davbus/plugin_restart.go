package main

import (
	"fmt"
	"strings"

	"davbus.org/davbus/dbusapi/client"
)

type pluginRestartCmd struct {
	ID string `arg:"" help:"A plugin, or an account that one keeps."`
}

// Run restarts a plugin, or switches one account off and on, which ends its
// plugin.
func (c *pluginRestartCmd) Run(r *runtime) error {
	objects, err := r.client.Objects(r.ctx)
	if err != nil {
		return err
	}
	for _, p := range client.Each(objects, "Plugin") {
		if p.Str("Id") == c.ID {
			if err := r.client.RestartPlugin(r.ctx, c.ID); err != nil {
				return err
			}
			return c.told(r, "The plugin %s was started again.")
		}
	}
	for path, a := range client.Each(objects, "Account") {
		if a.Str("Id") != c.ID || !strings.HasPrefix(a.Str("Kind"), "plugin:") || !a.Bool("Enabled") {
			continue
		}
		for _, on := range []bool{false, true} {
			if err := r.client.Set(r.ctx, path, client.Name+".Account", "Enabled", on); err != nil {
				return err
			}
		}
		return c.told(r, "The plugin of %s is started anew when it is needed.")
	}
	return fmt.Errorf("there is no plugin %q, and no enabled account of that name is kept by one: see davbus plugin list", c.ID)
}

func (c *pluginRestartCmd) told(r *runtime, text string) error {
	if !r.json {
		say(r.out, text, c.ID)
	}
	return nil
}
