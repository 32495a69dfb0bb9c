package main

import (
	"fmt"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
)

type resolveCmd struct {
	Conflict string `arg:"" help:"Its id, as 'davbus conflicts' tells."`
	Choice   string `arg:"" help:"member:ACCOUNT/COLLECTION, newest, both, merged or skip."`
}

func (c *resolveCmd) Run(r *runtime) error {
	job, err := r.client.Resolve(r.ctx, c.Conflict, c.Choice)
	if client.HasName(err, "org.freedesktop.DBus.Error.UnknownObject") {
		return fmt.Errorf("there is no open conflict %q; 'davbus conflicts' lists those that there are", c.Conflict)
	}
	if err != nil {
		return err
	}
	return r.follow(job)
}

type undoCmd struct {
	Job    uint32 `arg:"" help:"Its number, as 'davbus log' tells."`
	Member string `help:"Only there." placeholder:"ACCOUNT/COLLECTION"`
	DryRun bool   `help:"Name what would be put back; change nothing."`
}

func (c *undoCmd) Run(r *runtime) error {
	o := client.Options{"dry-run": c.DryRun}
	if c.Member != "" {
		o["member"] = c.Member
	}
	f, err := r.client.Follow(r.ctx)
	if err != nil {
		return err
	}
	defer f.Close()
	job, err := r.client.Undo(r.ctx, c.Job, o)
	if err != nil {
		return err
	}
	return r.followWith(f, job, true)
}

type versionsCmd struct {
	Collection string `arg:"" help:"ACCOUNT/COLLECTION."`
	Item       string `arg:"" optional:"" help:"Its name or UID; all items, deleted ones too, if it is left out."`
	Limit      uint32 `short:"n" default:"20" help:"How many, newest first; at most 500."`
}

func (c *versionsCmd) Validate() error { return atLeastOne(c.Limit) }

func (c *versionsCmd) Run(r *runtime) error {
	all, err := r.client.Versions(r.ctx, c.Collection, c.Item, c.Limit)
	if err != nil {
		return err
	}
	var rows [][]string
	var plain []map[string]any
	for _, p := range all {
		rows = append(rows, []string{number(p, "version"), p.Str("item"), when(p.Time("replaced-usec")), p.Str("reason"), number(p, "job")})
		plain = append(plain, p.Plain())
	}
	return r.list([]string{"VERSION", "ITEM", "REPLACED", "WHY", "JOB"}, rows, plain, "There are no earlier versions.")
}

type restoreCmd struct {
	Collection string `arg:"" help:"ACCOUNT/COLLECTION."`
	Item       string `arg:"" help:"Its name."`
	Version    uint64 `arg:"" help:"As 'davbus versions' tells."`
	AsCopy     bool   `help:"As an item of its own, under a new UID."`
}

func (c *restoreCmd) Run(r *runtime) error {
	job, err := r.client.Restore(r.ctx, c.Collection, c.Item, c.Version, client.Options{"as-copy": c.AsCopy})
	if err != nil {
		return err
	}
	return r.follow(job)
}

type whyCmd struct {
	Where string `arg:"" name:"collection" help:"ACCOUNT/COLLECTION; may be left out."`
	Item  string `arg:"" optional:"" help:"Its name or UID."`
}

func (c *whyCmd) Run(r *runtime) error {
	lines, err := c.explain(r)
	if err != nil {
		return err
	}
	if r.json {
		return r.document(lines)
	}
	for _, l := range lines {
		say(r.out, "%s", printable(l))
	}
	return nil
}

// explain asks the collection that was named, or all until one knows the item:
// those that are in step with one another tell the same.
func (c *whyCmd) explain(r *runtime) ([]string, error) {
	if c.Item != "" {
		return r.client.Explain(r.ctx, c.Where, c.Item)
	}
	objects, err := r.client.Objects(r.ctx)
	if err != nil {
		return nil, err
	}
	accounts := map[dbus.ObjectPath]string{}
	for path, p := range client.Each(objects, "Account") {
		accounts[path] = p.Str("Id")
	}
	for _, p := range client.Each(objects, "Collection") {
		account, _ := p["Account"].Value().(dbus.ObjectPath)
		lines, err := r.client.Explain(r.ctx, accounts[account]+"/"+p.Str("Id"), c.Where)
		if !client.HasName(err, "NotFound") {
			return lines, err
		}
	}
	return nil, fmt.Errorf("no collection knows an item %q: it was never synced; 'davbus problems' lists those that cannot be", c.Where)
}

type repairCmd struct {
	Collection string `arg:"" help:"ACCOUNT/COLLECTION."`
	DryRun     bool   `help:"Name what would be repaired; change nothing."`
}

func (c *repairCmd) Run(r *runtime) error {
	f, err := r.client.Follow(r.ctx)
	if err != nil {
		return err
	}
	defer f.Close()
	job, err := r.client.Repair(r.ctx, c.Collection, client.Options{"dry-run": c.DryRun})
	if err != nil {
		return err
	}
	return r.followWith(f, job, true)
}
