package dbusapi

import (
	"bytes"
	"maps"
	"os"
	"slices"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

// maxVersions bounds a reply of GetVersions; the bus is no place for bulk.
const maxVersions = 1 << 20

func (f *Face) conflict(id string) tree.Interface {
	return tree.Interface{Name: ifConflict, Methods: map[string]any{
		"GetVersions": func(in dict) (map[string]string, dict, error) { return f.getVersions(id, in) },
		"OpenVersion": func(which string, in dict) (*os.File, error) { return f.openVersion(id, which, in) },
		"Resolve": func(c tree.FileCall, choice string, in dict) (dbus.ObjectPath, error) {
			return f.resolve(c, id, choice, in)
		},
	}}
}

func (f *Face) getVersions(id string, in dict) (map[string]string, dict, error) {
	op := "give the versions of conflict " + name(id)
	if err := noOptions(op, in); err != nil {
		return nil, nil, err
	}
	t, err := f.host.ConflictTexts(id)
	if err != nil {
		return nil, nil, err
	}
	versions, size := map[string]string{}, len(t.Base)+len(t.Proposal)
	for _, member := range slices.Sorted(maps.Keys(t.Members)) {
		versions[name(string(member))] = string(t.Members[member])
		size += len(t.Members[member])
	}
	if size > maxVersions {
		return nil, nil, engine.Fail(engine.TooLarge, op, "", "they have %d bytes together, more than the %d that fit into a reply; read them one by one with OpenVersion", size, maxVersions)
	}
	for _, text := range append(slices.Collect(maps.Values(t.Members)), t.Base, t.Proposal) {
		if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
			return nil, nil, engine.Fail(engine.InvalidItem, op, "", "one of them is no UTF-8 text; read them one by one with OpenVersion")
		}
	}
	details := makeDict(props{"clashes": texts(t.Clashes), "summary": text(t.Summary), "revision": text(t.Revision)})
	if t.Base != nil {
		details["base"] = dbus.MakeVariant(string(t.Base))
	}
	if t.Proposal != nil {
		details["proposal"] = dbus.MakeVariant(string(t.Proposal))
	}
	return versions, details, nil
}

func (f *Face) openVersion(id, which string, in dict) (*os.File, error) {
	op := "open a version of conflict " + name(id)
	if err := noOptions(op, in); err != nil {
		return nil, err
	}
	t, err := f.host.ConflictTexts(id)
	if err != nil {
		return nil, err
	}
	text, ok := t.Members[engine.MemberID(unname(which))]
	switch which {
	case "base":
		text, ok = t.Base, t.Base != nil
	case "proposal":
		text, ok = t.Proposal, t.Proposal != nil
	}
	if !ok {
		known := memberNames(slices.Sorted(maps.Keys(t.Members)))
		return nil, engine.Fail(engine.NotFound, op, "", "there is no version %q; members are %s, and \"base\" and \"proposal\" are there if they are kept", which, quoted(known))
	}
	return fileOf(text)
}

func (f *Face) resolve(c tree.FileCall, id, choice string, in dict) (dbus.ObjectPath, error) {
	op := "settle conflict " + name(id)
	o := readOptions(op, in)
	r := engine.Resolution{Choice: unname(choice), Revision: o.string("revision", "")}
	if data := o.string("data", ""); o.has("data") {
		r.Data = []byte(data)
	}
	index := option(o, "data-fd", "h", dbus.UnixFDIndex(0))
	if err := o.end(); err != nil {
		return "/", err
	}
	if o.has("data") && o.has("data-fd") {
		return "/", invalid(op, "give either \"data\" or \"data-fd\"")
	}
	known := []string{"newest", "both", "merged", "skip"}
	if !slices.Contains(known, choice) && !hasPrefixAndMore(choice, "member:") {
		return "/", invalid(op, "%q is no way to settle it; there are \"member:ID\", %s", choice, quoted(known))
	}
	if (o.has("data") || o.has("data-fd")) && choice != "merged" {
		return "/", invalid(op, "a text goes with \"merged\" only, not with %q", choice)
	}
	if o.has("data-fd") {
		file, ok := c.Take(index)
		if !ok {
			return "/", invalid(op, "option \"data-fd\" names a descriptor that did not come with the call")
		}
		defer file.Close()
		var err error
		if r.Data, err = readAll(c.Context(), file, "read the merged item", maxItem, readTime); err != nil {
			return "/", err
		}
	}
	who := f.caller(c.Call)
	job, err := f.bonds.start(who, false, func() (engine.JobID, error) { return f.host.Resolve(id, r, who) })
	return jobPath(job), err
}
