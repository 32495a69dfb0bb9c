package vdir

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"

	"davbus.org/davbus/engine"
	"golang.org/x/sys/unix"
)

// largestMeta is the size of the largest file of metadata that is read.
const largestMeta = 64 << 10

// metaFile is the file that keeps a property; "" if none does.
func metaFile(key engine.MetaKey) string {
	switch key {
	case engine.MetaName:
		return "displayname"
	case engine.MetaColor, engine.MetaDescription, engine.MetaOrder:
		return string(key)
	}
	return ""
}

// readMeta reads what can be read. The error tells of what could not: it is not
// to be taken for unset.
func readMeta(d *dir) (engine.Meta, error) {
	meta := engine.Meta{}
	var failed error
	for _, key := range engine.MetaKeys {
		st, err := d.stat(metaFile(key))
		if err == unix.ENOENT || err == nil && (!st.regular() || st.size > largestMeta) {
			continue
		}
		text, _, err := d.read(metaFile(key))
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if value := strings.TrimSpace(string(text)); value != "" {
			meta[key] = value
		}
	}
	return meta, failed
}

// Meta reads the files color, displayname, description and order, without white
// space around. An empty file is unset, unless somebody is just writing it.
func (f *Folder) Meta(ctx context.Context) (engine.Meta, error) {
	if err := ctx.Err(); err != nil {
		return nil, engine.Fail(engine.Cancelled, "read metadata of", f.path(), "%w", err)
	}
	d, err := f.open("read metadata of")
	if err != nil {
		return nil, err
	}
	defer d.close()
	meta, err := readMeta(d)
	if errors.Is(err, errMoving) {
		return nil, engine.Fail(engine.Busy, "read metadata of", f.path(), "%w", err)
	}
	if err != nil {
		return nil, fail("read metadata of", f.path(), err)
	}
	for _, key := range engine.MetaKeys {
		if _, ok := meta[key]; ok {
			continue
		}
		if st, err := d.stat(metaFile(key)); err == nil && st.regular() && st.size <= largestMeta && f.young(st.mtime) {
			return nil, engine.Fail(engine.Busy, "read metadata of", f.path(), "somebody has not finished writing the file %s", metaFile(key))
		}
	}
	return meta, nil
}

// SetMeta writes one file, or removes it. Each is replaced in one step.
func (f *Folder) SetMeta(ctx context.Context, key engine.MetaKey, value string, set bool) error {
	name := metaFile(key)
	if name == "" || key == engine.MetaName && !f.source.opt.WriteName {
		return engine.Fail(engine.NotSupported, "set", string(key), "folders do not keep it, or are set not to")
	}
	if err := ctx.Err(); err != nil {
		return engine.Fail(engine.Cancelled, "set", string(key), "%w", err)
	}
	d, err := f.open("set the " + string(key) + " of")
	if err != nil {
		return err
	}
	defer d.close()
	f.source.own.expect(f.path() + "/" + name)
	value = strings.TrimSpace(value)
	if set && value != "" {
		temp := stagedName(rand.Uint64(), 0)
		if err = d.write(temp, 0, []byte(value), true); err == nil {
			if err = d.over(temp, name); err != nil {
				d.remove(temp)
			}
		}
	} else if err = d.remove(name); err == unix.ENOENT {
		err = nil
	}
	if err == nil {
		err = d.sync()
	}
	if err != nil {
		f.source.own.unwritten(f.path() + "/" + name)
		return f.writeFail("set the "+string(key)+" of", f.path(), err)
	}
	if st, err := d.stat(name); err == nil {
		f.source.own.wrote(f.path()+"/"+name, st)
	} else {
		f.source.own.gone(f.path() + "/" + name)
	}
	return nil
}
