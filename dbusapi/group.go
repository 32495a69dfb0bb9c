package dbusapi

import (
	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

func (f *Face) group(id engine.GroupID) tree.Interface {
	set := func(key string) tree.Property {
		return tree.Property{Set: func(_ tree.Call, v dbus.Variant) error {
			value := v.Value()
			if s, ok := value.(string); ok {
				value = unname(s)
			}
			_, err := f.host.UpdateGroup(id, map[string]any{key: value}, nil)
			return f.done(err)
		}}
	}
	op := func(verb string) string { return verb + " group " + name(string(id)) }
	return tree.Interface{Name: ifGroup, Methods: map[string]any{
		"Sync": func(c tree.Call, in dict) (dbus.ObjectPath, error) { return f.managerSync(c, name(string(id)), in) },
		"ConfirmDeletions": func(c tree.Call, proceed bool, in dict) (dbus.ObjectPath, error) {
			return f.confirmDeletions(c, id, proceed, in)
		},
		"AddMember": func(member string, in dict) error {
			return f.plain(op("add a member to"), in, func() error { return f.host.AddMember(id, unname(member)) })
		},
		"RemoveMember": func(member string, in dict) error {
			return f.plain(op("remove a member from"), in, func() error { return f.host.RemoveMember(id, unname(member)) })
		},
		"ResetState": func(in dict) error {
			return f.plain(op("reset"), in, func() error { return f.host.ResetState(id) })
		},
		"Update": func(set dict, unset []string, in dict) ([]string, error) {
			return f.updateGroup(op("change"), id, set, unset, in)
		},
		"Remove": func(in dict) error {
			return f.plain(op("remove"), in, func() error { return f.host.RemoveGroup(id) })
		},
	}, Properties: map[string]tree.Property{
		"Enabled": set("enabled"), "ConflictPolicy": set("conflict-policy"), "IntervalSec": set("interval-sec"),
	}}
}

// plain is a method that takes no options yet and changes something.
func (f *Face) plain(op string, in dict, do func() error) error {
	if err := noOptions(op, in); err != nil {
		return err
	}
	return f.done(do())
}

func (f *Face) confirmDeletions(c tree.Call, id engine.GroupID, proceed bool, in dict) (dbus.ObjectPath, error) {
	o := readOptions("confirm deletions of "+name(string(id)), in)
	member := engine.MemberID(unname(o.string("member", "")))
	var expect *uint32
	if n := o.uint("expect", 0); o.has("expect") {
		expect = &n
	}
	if err := o.end(); err != nil {
		return "/", err
	}
	who := f.caller(c)
	job, err := f.bonds.start(who, false, func() (engine.JobID, error) {
		return f.host.ConfirmDeletions(id, proceed, member, expect, who)
	})
	return jobPath(job), err
}

func (f *Face) updateGroup(op string, id engine.GroupID, given dict, unset []string, in dict) ([]string, error) {
	if err := noOptions(op, in); err != nil {
		return nil, err
	}
	set, err := readSet(op, groupParams, given, unset)
	if err != nil {
		return nil, err
	}
	for key, v := range set {
		switch v := v.(type) {
		case string:
			set[key] = unname(v)
		case []string:
			if key != "conflict-command" {
				set[key] = each(v, unname)
			}
		}
	}
	waiting, err := f.host.UpdateGroup(id, set, unset)
	return texts(waiting), f.done(err)
}
