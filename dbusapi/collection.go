package dbusapi

import (
	"slices"
	"strconv"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

func (f *Face) collection(id engine.MemberID) tree.Interface {
	return tree.Interface{Name: ifCollection, Methods: map[string]any{
		"Sync": func(c tree.Call, in dict) (dbus.ObjectPath, error) { return f.managerSync(c, name(string(id)), in) },
		"Update": func(c tree.Call, set dict, unset []string, in dict) (dbus.ObjectPath, error) {
			return f.updateCollection(c, id, set, unset, in)
		},
		"Repair":  func(c tree.Call, in dict) (dbus.ObjectPath, error) { return f.repair(c, id, in) },
		"Export":  func(c tree.Call, in dict) (dbus.ObjectPath, error) { return f.collectionStream(c, "export", id, in) },
		"Import":  func(c tree.Call, in dict) (dbus.ObjectPath, error) { return f.collectionStream(c, "import", id, in) },
		"Serve":   func(c tree.Call, in dict) (dbus.ObjectPath, error) { return f.collectionStream(c, "serve", id, in) },
		"Explain": func(item string) ([]string, error) { return f.explain(id, item) },
		"ListVersions": func(item string, offset, limit uint32, in dict) ([]dict, error) {
			return f.listVersions(id, item, offset, limit, in)
		},
		"Restore": func(c tree.Call, item string, version uint64, in dict) (dbus.ObjectPath, error) {
			return f.restore(c, id, item, version, in)
		},
	}}
}

func (f *Face) updateCollection(c tree.Call, id engine.MemberID, given dict, unset []string, in dict) (dbus.ObjectPath, error) {
	op := "change collection " + name(string(id))
	if err := noOptions(op, in); err != nil {
		return "/", err
	}
	set, err := readSet(op, metaParams, given, unset)
	if err != nil {
		return "/", err
	}
	meta := engine.Meta{}
	for key, v := range set {
		switch v := v.(type) {
		case string:
			meta[engine.MetaKey(key)] = v
		case int32:
			meta[engine.MetaKey(key)] = strconv.FormatInt(int64(v), 10)
		}
	}
	if color, ok := meta[engine.MetaColor]; ok && !isColor(color) {
		return "/", invalid(op, "%q is no colour; it must be written #RRGGBB", color)
	}
	who := f.caller(c)
	keys := each(unset, func(s string) engine.MetaKey { return engine.MetaKey(s) })
	job, err := f.bonds.start(who, false, func() (engine.JobID, error) { return f.host.UpdateCollection(id, meta, keys, who) })
	return jobPath(job), err
}

func isColor(s string) bool {
	if len(s) != 7 || s[0] != '#' {
		return false
	}
	_, err := strconv.ParseUint(s[1:], 16, 32)
	return err == nil && !slices.Contains([]byte(s[1:]), '_')
}

func (f *Face) repair(c tree.Call, id engine.MemberID, in dict) (dbus.ObjectPath, error) {
	o := readOptions("repair "+name(string(id)), in)
	dry := o.bool("dry-run", false)
	if err := o.end(); err != nil {
		return "/", err
	}
	who := f.caller(c)
	job, err := f.bonds.start(who, false, func() (engine.JobID, error) { return f.host.Repair(id, dry, who) })
	return jobPath(job), err
}

func (f *Face) explain(id engine.MemberID, item string) ([]string, error) {
	lines, err := f.host.Explain(id, unname(item))
	return texts(lines), err
}

func (f *Face) listVersions(id engine.MemberID, item string, offset, limit uint32, in dict) ([]dict, error) {
	from, most, err := page("list versions", offset, limit)
	if err == nil {
		err = noOptions("list versions", in)
	}
	if err != nil {
		return nil, err
	}
	list, err := f.host.Versions(id, unname(item), from, most)
	return each(list, versionDict), err
}

func (f *Face) restore(c tree.Call, id engine.MemberID, item string, version uint64, in dict) (dbus.ObjectPath, error) {
	o := readOptions("restore an item of "+name(string(id)), in)
	asCopy := o.bool("as-copy", false)
	if err := o.end(); err != nil {
		return "/", err
	}
	who := f.caller(c)
	job, err := f.bonds.start(who, false, func() (engine.JobID, error) { return f.host.Restore(id, unname(item), version, asCopy, who) })
	return jobPath(job), err
}
