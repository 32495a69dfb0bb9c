package dbusapi

import (
	"math"
	"os"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

func (f *Face) manager() tree.Interface {
	return tree.Interface{Name: ifManager, Methods: map[string]any{
		"Sync":            f.managerSync,
		"AddAccount":      f.addAccount,
		"AddGroup":        f.addGroup,
		"GetParameters":   f.getParameters,
		"Lookup":          f.lookup,
		"ListConflicts":   f.listConflicts,
		"ListProblems":    f.listProblems,
		"Undo":            f.undo,
		"GetHistory":      f.getHistory,
		"Pause":           f.pauseFor,
		"Resume":          f.resume,
		"Inhibit":         f.inhibit,
		"RegisterAgent":   f.registerAgent,
		"UnregisterAgent": f.unregisterAgent,
	}}
}

func (f *Face) managerSync(c tree.Call, what string, in dict) (dbus.ObjectPath, error) {
	id, err := f.sync(f.caller(c), unname(what), in)
	return jobPath(id), err
}

// sync is Sync of every interface that has it.
func (f *Face) sync(who Caller, what string, in dict) (engine.JobID, error) {
	op := "sync " + everything(what)
	o := readOptions(op, in)
	r := SyncRequest{
		What:      what,
		Mode:      unname(o.string("mode", "")),
		Slow:      o.bool("slow", false),
		DryRun:    o.bool("dry-run", false),
		IfRunning: o.choice("if-running", "join", "queue", "fail"),
		Timeout:   duration(o.uint64("timeout-usec", 0)),
		Caller:    who,
	}
	bind := o.bool("bind-to-caller", false)
	if err := o.end(); err != nil {
		return 0, err
	}
	if r.Mode != "" && r.Mode != "two-way" && !hasPrefixAndMore(r.Mode, "from:") {
		return 0, invalid(op, "option %q must be \"two-way\" or \"from:MEMBER\", not %q", "mode", name(r.Mode))
	}
	return f.bonds.start(who, bind, func() (engine.JobID, error) { return f.host.Sync(r) })
}

// hasPrefixAndMore is for values such as from:MEMBER.
func hasPrefixAndMore(s, prefix string) bool {
	return len(s) > len(prefix) && strings.HasPrefix(s, prefix)
}

// everything names what is worked on in an error text.
func everything(what string) string {
	if what == "" {
		return "everything"
	}
	return name(what)
}

// duration is a length of time that a caller gave; one that is too long for us
// is as good as endless.
func duration(usec uint64) time.Duration {
	return time.Duration(min(usec, math.MaxInt64/uint64(time.Microsecond))) * time.Microsecond
}

func (f *Face) addAccount(c tree.Call, id, kind string, params, in dict) (dbus.ObjectPath, error) {
	op := "add an account"
	o := readOptions(op, in)
	cfg := engine.AccountConfig{
		ID: engine.AccountID(id), Kind: kind,
		DisplayName: o.line("display-name", ""), Enabled: o.bool("enabled", true),
	}
	ensure := o.choice("if-exists", "fail", "ensure") == "ensure"
	if err := o.end(); err != nil {
		return "/", err
	}
	if id != "" {
		if err := checkID(op, id); err != nil {
			return "/", err
		}
	}
	specs, err := f.host.Parameters(kind)
	if err != nil {
		return "/", err
	}
	if cfg.Params, err = readParams(op, kind, specs, params, f.caller(c)); err != nil {
		return "/", err
	}
	if err := missingParam(op, specs, cfg.Params); err != nil {
		return "/", err
	}
	made, err := f.host.AddAccount(cfg, ensure)
	return accountPath(made), f.done(err)
}

func (f *Face) addGroup(id string, members []string, in dict) (dbus.ObjectPath, error) {
	op := "add a group"
	o := readOptions(op, in)
	cfg := engine.DefaultGroup()
	cfg.ID = engine.GroupID(id)
	cfg.Members = each(members, unname)
	cfg.Direction = unname(o.string("direction", cfg.Direction))
	cfg.ConflictPolicy = unname(o.string("conflict-policy", cfg.ConflictPolicy))
	cfg.IntervalSec = o.uint("interval-sec", cfg.IntervalSec)
	cfg.Enabled = o.bool("enabled", true)
	cfg.CreateMissing = each(o.strings("create-missing"), unname)
	ensure := o.choice("if-exists", "fail", "ensure") == "ensure"
	if err := o.end(); err != nil {
		return "/", err
	}
	if id != "" {
		if err := checkID(op, id); err != nil {
			return "/", err
		}
	}
	if len(members) < 2 {
		return "/", invalid(op, "a group needs at least two members, each an account or ACCOUNT/COLLECTION; %d were given", len(members))
	}
	made, err := f.host.AddGroup(cfg, ensure)
	return groupPath(made), f.done(err)
}

func (f *Face) getParameters(kind string) ([]dict, error) {
	specs, err := f.host.Parameters(kind)
	return each(specs, specDict), err
}

func (f *Face) lookup(what string) (dbus.ObjectPath, error) {
	t, err := f.host.Lookup(unname(what))
	return targetPath(t), err
}

// page checks where a list is to begin and how long it may be.
func page(op string, offset, limit uint32) (int, int, error) {
	if limit > maxPage {
		return 0, 0, invalid(op, "at most %d entries are given at once; ask for the others with an offset", maxPage)
	}
	return int(min(offset, math.MaxInt32)), int(limit), nil
}

const maxPage = 500

func (f *Face) listConflicts(what string, offset, limit uint32, in dict) ([]dict, error) {
	from, most, err := page("list conflicts", offset, limit)
	if err == nil {
		err = noOptions("list conflicts", in)
	}
	if err != nil {
		return nil, err
	}
	list, err := f.host.Conflicts(unname(what), from, most)
	return each(list, func(s engine.ConflictState) dict {
		d := makeDict(conflictProps(&s))
		if f.view.hasConflict(s.ID) {
			d["path"] = dbus.MakeVariant(conflictPath(s.ID))
		}
		return d
	}), err
}

func (f *Face) listProblems(what string, offset, limit uint32, in dict) ([]dict, error) {
	from, most, err := page("list problems", offset, limit)
	if err != nil {
		return nil, err
	}
	o := readOptions("list problems", in)
	held := o.bool("held", false)
	if err := o.end(); err != nil {
		return nil, err
	}
	list, err := f.host.Problems(unname(what), held, from, most)
	return each(list, problemDict), err
}

func (f *Face) getHistory(what string, offset, limit uint32, in dict) ([]dict, error) {
	from, most, err := page("give the history", offset, limit)
	if err == nil {
		err = noOptions("give the history", in)
	}
	if err != nil {
		return nil, err
	}
	list, err := f.host.History(unname(what), from, most)
	return each(list, reportDict), err
}

func (f *Face) undo(c tree.Call, id uint32, in dict) (dbus.ObjectPath, error) {
	o := readOptions("undo a job", in)
	member := engine.MemberID(unname(o.string("member", "")))
	dry := o.bool("dry-run", false)
	if err := o.end(); err != nil {
		return "/", err
	}
	who := f.caller(c)
	made, err := f.bonds.start(who, false, func() (engine.JobID, error) { return f.host.Undo(engine.JobID(id), member, dry, who) })
	return jobPath(made), err
}

func (f *Face) pauseFor(c tree.Call, seconds uint32, in dict) error {
	o := readOptions("pause", in)
	cancel, bind := o.bool("cancel-running", false), o.bool("bind-to-caller", false)
	if err := o.end(); err != nil {
		return err
	}
	if err := f.host.Pause(time.Duration(seconds)*time.Second, cancel); err != nil {
		return err
	}
	if err := f.pause.set(f, f.caller(c).Name, bind); err != nil {
		f.host.Resume() // a pause that nobody can be held to is none
		f.settle()      // nor does its caller read of one after the error
		return err
	}
	return f.done(nil)
}

func (f *Face) resume() error {
	if err := f.pause.set(f, "", false); err != nil {
		return err
	}
	return f.done(f.host.Resume())
}

func (f *Face) inhibit(c tree.Call, reason string, in dict) (*os.File, error) {
	o := readOptions("inhibit", in)
	what := o.choice("what", "idle-exit", "schedule")
	if err := o.end(); err != nil {
		return nil, err
	}
	if len(reason) > 256 || reason == "" {
		return nil, invalid("inhibit", "the reason must have 1 to 256 bytes; this one has %d", len(reason))
	}
	if !inLines(reason) {
		return nil, invalid("inhibit", "the reason must not hold control characters")
	}
	give, err := f.quota.take(f.caller(c).Name, "inhibitor", maxInhibitors)
	if err != nil {
		return nil, err
	}
	release, err := f.host.Inhibit(what, reason)
	if err != nil {
		give()
		return nil, err
	}
	file, err := f.untilClosed(func() { release(); give() })
	return file, f.done(err)
}

func notInThisBuild(part string) error {
	return engine.Fail(engine.NotSupported, "do this", "", "this build of davbus has no %s; Manager.Capabilities lists what it has", part)
}
