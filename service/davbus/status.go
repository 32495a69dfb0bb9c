package main

import (
	"strconv"

	"golang.org/x/term"

	"davbus.org/davbus/dbusapi/client"
)

type statusCmd struct{}

func (c *statusCmd) Run(r *runtime) error {
	m, err := r.client.Manager(r.ctx)
	if err != nil {
		return err
	}
	objects, err := r.client.Objects(r.ctx)
	if err != nil {
		return err
	}
	if m.Bool("AttentionNeeded") {
		r.code = exitPerson
	}
	if r.json {
		return r.statusJSON(m, objects)
	}
	say(r.out, "davbus %s: %s; last success %s; %s open conflicts", m.Str("Version"), m.Str("State"), when(m.Time("LastSuccessUSec")), number(m, "ConflictCount"))
	if err := r.accounts(objects); err != nil {
		return err
	}
	var groups, jobs [][]string
	for _, p := range client.Each(objects, "Group") {
		groups = append(groups, groupRow(p))
	}
	if err := r.list(groupHead, groups, nil, "There are no groups yet. Add one: davbus group add --help"); err != nil {
		return err
	}
	for _, p := range client.Each(objects, "Job") {
		if p.Str("State") != "done" {
			jobs = append(jobs, []string{number(p, "Id"), p.Str("Kind"), client.IDOf(p.Path("Target")), p.Str("State"), p.Str("Phase"), number(p, "Percent")})
		}
	}
	if len(jobs) > 0 {
		return r.list([]string{"JOB", "KIND", "TARGET", "STATE", "PHASE", "PERCENT"}, jobs, nil, "")
	}
	return nil
}

func (r *runtime) accounts(objects []client.Object) error {
	var rows [][]string
	for _, p := range client.Each(objects, "Account") {
		rows = append(rows, []string{p.Str("Id"), p.Str("Kind"), p.Str("State"), strconv.Itoa(len(p.Paths("Collections"))), when(p.Time("LastSuccessUSec")), p.Str("ErrorMessage")})
	}
	return r.list([]string{"ACCOUNT", "KIND", "STATE", "COLLECTIONS", "LAST SUCCESS", "ERROR"}, rows, nil, "There are no accounts yet. Add one: davbus account add --help")
}

func (r *runtime) statusJSON(m client.Props, objects []client.Object) error {
	doc := map[string]any{"manager": m.Plain()}
	for _, kind := range []struct{ short, key string }{{"Account", "accounts"}, {"Collection", "collections"}, {"Group", "groups"}, {"Job", "jobs"}} {
		list := []map[string]any{}
		for path, p := range client.Each(objects, kind.short) {
			plain := p.Plain()
			plain["path"] = path
			list = append(list, plain)
		}
		doc[kind.key] = list
	}
	return r.document(doc)
}

func isTerminal(fd int) bool { return term.IsTerminal(fd) }

type reloadCmd struct {
	DryRun bool `help:"Read and check the files; change nothing."`
}

func (c *reloadCmd) Run(r *runtime) error {
	changed, err := r.client.Reload(r.ctx, c.DryRun)
	if err != nil {
		return err
	}
	if r.json {
		return r.document(map[string]any{"changed": append([]string{}, changed...)})
	}
	if len(changed) == 0 {
		say(r.out, "Nothing has changed.")
	}
	for _, id := range changed {
		say(r.out, "%s", printable(id))
	}
	return nil
}
