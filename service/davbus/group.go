package main

import (
	"strconv"
	"strings"

	"davbus.org/davbus/dbusapi/client"
)

type groupCmd struct {
	Add          groupAddCmd          `cmd:"" help:"Keep accounts, or collections, in step."`
	List         groupListCmd         `cmd:"" help:"List the groups."`
	Show         groupShowCmd         `cmd:"" help:"Everything about a group."`
	Set          groupSetCmd          `cmd:"" help:"Change settings of a group."`
	AddMember    groupAddMemberCmd    `cmd:"" help:"Take one more account or collection in."`
	RemoveMember groupRemoveMemberCmd `cmd:"" help:"Let a member go. Its items stay where they are."`
	Reset        groupResetCmd        `cmd:"" help:"Forget what was in step: the next sync compares everything."`
	Remove       groupRemoveCmd       `cmd:"" help:"Let a group go, with its sync state. Items stay where they are."`
}

type groupAddCmd struct {
	ID             string   `arg:"" help:"A letter, then letters, digits, _ - and dots."`
	Members        []string `arg:"" help:"Two or more accounts (their collections are matched by id), or two or more ACCOUNT/COLLECTION."`
	CreateMissing  []string `sep:"none" help:"Make collections that this member lacks. May be given more than once." placeholder:"MEMBER"`
	Direction      string   `help:"two-way, or from:MEMBER."`
	ConflictPolicy string   `help:"merge, ask, newest, keep-both, member:ID or command."`
	Interval       int      `default:"-1" help:"Seconds between syncs; 0 for only on request or when a change is seen." placeholder:"SECONDS"`
}

func (c *groupAddCmd) Run(r *runtime) error {
	opts := client.Options{}
	if len(c.CreateMissing) > 0 {
		opts["create-missing"] = c.CreateMissing
	}
	if c.Direction != "" {
		opts["direction"] = c.Direction
	}
	if c.ConflictPolicy != "" {
		opts["conflict-policy"] = c.ConflictPolicy
	}
	if c.Interval >= 0 {
		opts["interval-sec"] = uint32(c.Interval)
	}
	path, err := r.client.AddGroup(r.ctx, c.ID, c.Members, opts)
	if err != nil {
		return err
	}
	if r.json {
		return r.document(map[string]any{"group": c.ID, "path": path})
	}
	say(r.out, "Added group %s. See what a sync would do: davbus sync %s --dry-run", c.ID, c.ID)
	return nil
}

type groupListCmd struct{}

func (c *groupListCmd) Run(r *runtime) error {
	objects, err := r.client.Objects(r.ctx)
	if err != nil {
		return err
	}
	var rows [][]string
	var plain []map[string]any
	for _, p := range client.Each(objects, "Group") {
		rows = append(rows, groupRow(p))
		plain = append(plain, p.Plain())
	}
	return r.list(groupHead, rows, plain, "There are no groups yet. Add one: davbus group add --help")
}

var groupHead = []string{"GROUP", "MEMBERS", "STATE", "LAST SUCCESS", "NEXT RUN", "CONFLICTS", "PROBLEMS", "HELD", "ERROR"}

func groupRow(p client.Props) []string {
	next := p.Time("NextRunUSec")
	nextText := "on change"
	if !next.IsZero() {
		nextText = when(next)
	}
	return []string{
		p.Str("Id"), strings.Join(p.Strs("MemberIds"), " "), p.Str("State"), when(p.Time("LastSuccessUSec")), nextText,
		number(p, "ConflictCount"), number(p, "ProblemCount"), number(p, "HeldDeletions"), p.Str("ErrorMessage"),
	}
}

func number(p client.Props, name string) string { return strconv.FormatInt(p.Int(name), 10) }

type groupRemoveCmd struct {
	ID string `arg:"" help:"The group."`
}

func (c *groupRemoveCmd) Run(r *runtime) error {
	if err := r.client.RemoveGroup(r.ctx, c.ID); err != nil {
		return err
	}
	if !r.json {
		say(r.out, "Removed group %s. Its items stay where they are.", c.ID)
	}
	return nil
}

type groupShowCmd struct {
	ID string `arg:"" help:"The group."`
}

func (c *groupShowCmd) Run(r *runtime) error {
	p, err := r.client.Group(r.ctx, c.ID)
	if err != nil {
		return err
	}
	if r.json {
		return r.document(p.Plain())
	}
	r.facts(p, []fact{{"members", "MemberIds"}, {"enabled", "Enabled"}, {"direction", "Direction"}, {"conflict policy", "ConflictPolicy"},
		{"seconds between syncs", "IntervalSec"}, {"state", "State"}, {"compares everything because", "SlowSyncReason"},
		{"last result", "LastResult"}, {"error", "ErrorMessage"}, {"last success", "LastSuccessUSec"},
		{"conflicts", "ConflictCount"}, {"problems", "ProblemCount"}, {"held deletions", "HeldDeletions"}})
	return nil
}

type groupSetCmd struct {
	ID       string   `arg:"" help:"The group."`
	Settings []string `arg:"" name:"setting" help:"NAME=VALUE to set, NAME= to put back to its default: davbus-config(5) lists them."`
}

var groupSettings = map[string]string{
	"direction": "s", "conflict-policy": "s", "conflict-command": "as", "interval-sec": "u", "create-missing": "as",
	"read-only-policy": "s", "hold-items": "u", "hold-percent": "u", "enabled": "b",
}

func (c *groupSetCmd) Run(r *runtime) error {
	set, unset, err := settings("a group", groupSettings, c.Settings)
	if err != nil {
		return err
	}
	return r.client.UpdateGroup(r.ctx, c.ID, set, unset)
}

type groupAddMemberCmd struct {
	ID     string `arg:"" help:"The group."`
	Member string `arg:"" help:"An account, or ACCOUNT/COLLECTION, as its other members are."`
}

func (c *groupAddMemberCmd) Run(r *runtime) error {
	return r.client.AddMember(r.ctx, c.ID, c.Member)
}

type groupRemoveMemberCmd struct {
	ID     string `arg:"" help:"The group."`
	Member string `arg:"" help:"One of its members; at least two must remain."`
}

func (c *groupRemoveMemberCmd) Run(r *runtime) error {
	return r.client.RemoveMember(r.ctx, c.ID, c.Member)
}

type groupResetCmd struct {
	ID string `arg:"" help:"The group."`
}

func (c *groupResetCmd) Run(r *runtime) error {
	if err := r.client.ResetState(r.ctx, c.ID); err != nil {
		return err
	}
	if !r.json {
		say(r.out, "The next sync of %s compares everything. Nothing was deleted.", c.ID)
	}
	return nil
}
