package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"davbus.org/davbus/dbusapi/client"
)

type conflictsCmd struct {
	What string `arg:"" optional:"" help:"Only those of this group, account or collection."`
}

func (c *conflictsCmd) Run(r *runtime) error {
	all, err := r.client.Conflicts(r.ctx, c.What)
	if err != nil {
		return err
	}
	var rows [][]string
	var plain []map[string]any
	for _, p := range all {
		rows = append(rows, []string{p.Str("Id"), client.IDOf(p.Path("Group")), p.Str("ItemName"), p.Str("Component"), p.Str("Kind"), strings.Join(p.Strs("Members"), " "), when(p.Time("DetectedUSec"))})
		plain = append(plain, p.Plain())
	}
	if len(all) > 0 {
		r.code = exitPerson
	}
	if err := r.list([]string{"CONFLICT", "GROUP", "ITEM", "COMPONENT", "KIND", "MEMBERS", "SINCE"}, rows, plain, "There are no conflicts."); err != nil {
		return err
	}
	if len(all) > 0 && !r.json {
		say(r.out, "Settle one: davbus resolve CONFLICT member:ACCOUNT/COLLECTION (or newest, both, merged, skip)")
	}
	return nil
}

type problemsCmd struct {
	What string `arg:"" optional:"" help:"Only those of this group, account or collection."`
}

func (c *problemsCmd) Run(r *runtime) error {
	all, err := r.client.Problems(r.ctx, c.What, false)
	if err != nil {
		return err
	}
	return r.problems(all, "Every item could be synced.")
}

// advice says what a person can do about a problem, by its error name.
var advice = map[string]string{
	"InvalidItem":        "correct the item, or delete it; it is tried again when it changes",
	"TooLarge":           "make the item smaller (its photo or attachment)",
	"Busy":               "nothing: it is tried again by itself; if it stays, correct or delete the file",
	"AlreadyExists":      "two items have one UID: delete one, or give one a new UID",
	"Forbidden":          "the server lets you not write it there; delete it or move it",
	"ReadOnly":           "the collection cannot be written; move the item elsewhere",
	"QuotaExceeded":      "make room on the server or disk",
	"PreconditionFailed": "it changed meanwhile; the next sync looks again",
	"NeedsConfirmation":  "see davbus held",
}

func (r *runtime) problems(all []client.Props, none string) error {
	var rows [][]string
	var plain []map[string]any
	held := map[string][]string{} // what waits at each member stands in one row
	for _, p := range all {
		plain = append(plain, p.Plain())
		name, member := p.Str("error-name"), p.Str("member")
		short := name[strings.LastIndexByte(name, '.')+1:]
		if short == "NeedsConfirmation" {
			held[member] = append(held[member], p.Str("item"))
			continue
		}
		rows = append(rows, []string{member, p.Str("item"), short, p.Str("error-message"), number(p, "tries"), advice[short]})
	}
	slices.SortFunc(rows, func(a, b []string) int { return slices.Compare(a[:2], b[:2]) })
	for _, member := range slices.Sorted(maps.Keys(held)) {
		what := held[member][0]
		if n := len(held[member]) - 1; n > 0 {
			what += fmt.Sprintf(" and %d more", n)
		}
		rows = append(rows, []string{member, what, "NeedsConfirmation", "held, since they are unusually many at once", "0", advice["NeedsConfirmation"]})
	}
	if len(all) > 0 {
		r.code = exitPartial
	}
	return r.list([]string{"MEMBER", "ITEM", "PROBLEM", "REASON", "TRIES", "WHAT TO DO"}, rows, plain, none)
}

type heldCmd struct {
	What    string `arg:"" optional:"" help:"Only those of this group, account or collection."`
	Delete  string `help:"Let the held deletions of this group happen." placeholder:"GROUP" xor:"settle"`
	Restore string `help:"Put the items of this group back where they are gone." placeholder:"GROUP" xor:"settle"`
}

func (c *heldCmd) Run(r *runtime) error {
	if group := c.Delete + c.Restore; group != "" {
		job, err := r.client.ConfirmDeletions(r.ctx, group, c.Delete != "", client.Options{})
		if err != nil {
			return err
		}
		return r.follow(job)
	}
	all, err := r.client.Problems(r.ctx, c.What, true)
	if err != nil {
		return err
	}
	var rows [][]string
	var plain []map[string]any
	for _, p := range all {
		rows = append(rows, []string{p.Str("member"), p.Str("item"), client.IDOf(p.Path("group"))})
		plain = append(plain, p.Plain())
	}
	if err := r.list([]string{"MEMBER", "ITEM", "GROUP"}, rows, plain, "No deletions are held."); err != nil || len(all) == 0 {
		return err
	}
	r.code = exitPerson
	if !r.json {
		say(r.out, "Unusually many at once, and so not done yet.")
		say(r.out, "Let them happen: davbus held --delete GROUP. Put the items back: davbus held --restore GROUP")
	}
	return nil
}

type logCmd struct {
	What  string `arg:"" optional:"" help:"Only jobs of this group, account or collection."`
	Limit uint32 `short:"n" default:"20" help:"How many, newest first; at most 500."`
}

func (c *logCmd) Validate() error { return atLeastOne(c.Limit) }

// atLeastOne refuses to list nothing, which would look as if there were nothing.
func atLeastOne(limit uint32) error {
	if limit == 0 {
		return errors.New("-n 0 would list nothing; name how many you want to see")
	}
	return nil
}

func (c *logCmd) Run(r *runtime) error {
	all, err := r.client.History(r.ctx, c.What, c.Limit)
	if err != nil {
		return err
	}
	var rows [][]string
	var plain []map[string]any
	for _, p := range all {
		rows = append(rows, []string{number(p, "id"), when(p.Time("finished-usec")), p.Str("kind"), client.IDOf(p.Path("target")), p.Str("result"), counts(p), p.Str("error-message")})
		plain = append(plain, p.Plain())
	}
	return r.list([]string{"JOB", "FINISHED", "KIND", "TARGET", "RESULT", "DONE", "ERROR"}, rows, plain, "No job has finished yet.")
}
