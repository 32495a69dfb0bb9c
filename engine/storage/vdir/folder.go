package vdir

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"davbus.org/davbus/engine"
	"golang.org/x/sys/unix"
)

// quiet is how long a file that is not finished is left to whoever writes it.
const quiet = 5 * time.Second

// A Folder is one collection. It holds nothing open between calls.
type Folder struct {
	source            *Source
	name, kind, ident string

	step func(op, name string) error // asked before each step: tests fail or stop there
}

func anyStep(op, name string) error { return nil }

var _ engine.MetaStorage = (*Folder)(nil)

// path is the folder's name for people.
func (f *Folder) path() string { return filepath.Join(f.source.opt.Path, f.name) }

// on names an item for people.
func (f *Folder) on(ref engine.Ref) string { return f.name + "/" + string(ref) }

// open opens the folder, if it is still the one that marks are of.
func (f *Folder) open(op string) (*dir, error) {
	root, err := f.source.root(op)
	if err != nil {
		return nil, err
	}
	defer root.close()
	d, err := root.sub(f.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, engine.Fail(engine.CollectionGone, op, f.path(), "the folder is not there")
	}
	if err != nil {
		return nil, fail(op, f.path(), err)
	}
	d.step = f.step
	ident, err := d.identity()
	if err == nil && f.ident != "" && ident != f.ident {
		err = engine.Fail(engine.CollectionGone, op, f.path(), "another folder has taken its place")
	} else if err != nil {
		err = fail(op, f.path(), err)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// List reads names and stamps, and no file.
func (f *Folder) List(ctx context.Context) iter.Seq2[engine.Head, error] {
	return func(yield func(engine.Head, error) bool) {
		names, d, err := f.scan(ctx)
		if err != nil {
			yield(engine.Head{}, err)
			return
		}
		defer d.close()
		now := f.source.now()
		for _, name := range names {
			head, ok, err := f.head(d, name, names, now)
			switch {
			case ctx.Err() != nil:
				yield(engine.Head{}, engine.Fail(engine.Cancelled, "list", f.path(), "%w", ctx.Err()))
				return
			case err != nil:
				yield(engine.Head{}, fail("list", f.path(), err))
				return
			case ok && !yield(head, nil):
				return
			}
		}
	}
}

// scan opens the folder and reads its names, sorted, after what a crash left
// behind was seen to.
func (f *Folder) scan(ctx context.Context) ([]string, *dir, error) {
	d, err := f.open("list")
	if err != nil {
		return nil, nil, err
	}
	names, err := settledNames(ctx, d)
	if err == nil && slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, ours) }) {
		if err = f.recover(d); err == nil {
			names, err = settledNames(ctx, d)
		}
	}
	switch {
	case err == nil:
		return names, d, nil
	case ctx.Err() != nil:
		err = engine.Fail(engine.Cancelled, "list", f.path(), "%w", ctx.Err())
	default:
		err = fail("list", f.path(), err)
	}
	d.close()
	return nil, nil, err
}

// settledNames reads names until the folder stood still, since one that is moved
// meanwhile can be missed. All that were seen count.
func settledNames(ctx context.Context, d *dir) ([]string, error) {
	var all []string
	for range 5 {
		before, err1 := d.self()
		names, err2 := d.names()
		after, err3 := d.self()
		if err := errors.Join(ctx.Err(), err1, err2, err3); err != nil {
			return nil, err
		}
		all = append(all, names...)
		if before == after {
			break
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// head is the head of the item that a name stands for, if it does for one.
func (f *Folder) head(d *dir, name string, names []string, now time.Time) (engine.Head, bool, error) {
	if item, backup := strings.CutSuffix(name, "~"); backup && f.holds(item) {
		if _, there := slices.BinarySearch(names, item); there || !f.saving(d, item) {
			return engine.Head{}, false, nil
		}
		return engine.Head{Ref: refOf(item), Etag: never(now)}, true, nil
	}
	if !f.holds(name) {
		return engine.Head{}, false, nil
	}
	st, err := d.stat(name)
	if err == unix.ENOENT {
		return engine.Head{}, false, nil
	}
	return engine.Head{Ref: refOf(name), Etag: st.etag(now)}, err == nil, err
}

// holds reports whether a file of this name is an item of this folder.
func (f *Folder) holds(name string) bool {
	kind := itemKind(name)
	return kind != "" && (f.kind == "" || f.kind == kind)
}

// saving reports whether a missing file is about to come back: vim and emacs
// move the old one to NAME~ before they write the new one.
func (f *Folder) saving(d *dir, name string) bool {
	st, err := d.stat(name + "~")
	return err == nil && st.regular() && f.young(st.ctime)
}

// young reports whether a time of a file is so near that its writer may not
// have finished. A time in the future does not count for long.
func (f *Folder) young(ns int64) bool {
	return f.source.now().Sub(time.Unix(0, ns)).Abs() < quiet
}

// Fetch reads files. One that is being written is an error of kind Busy, one
// that was cut off of kind InvalidItem: neither is gone, and neither is an edit.
func (f *Folder) Fetch(ctx context.Context, refs []engine.Ref) iter.Seq2[engine.Item, error] {
	return func(yield func(engine.Item, error) bool) {
		if len(refs) == 0 {
			return
		}
		d, err := f.open("fetch")
		if err != nil {
			yield(engine.Item{}, err)
			return
		}
		defer d.close()
		for _, ref := range refs {
			if err := ctx.Err(); err != nil {
				yield(engine.Item{}, engine.Fail(engine.Cancelled, "fetch", f.path(), "%w", err))
				return
			}
			it, err := f.fetch(d, ref)
			if err == fs.ErrNotExist {
				continue
			}
			if !yield(it, err) {
				return
			}
		}
	}
}

// fetch reads one file; fs.ErrNotExist says that there is none.
func (f *Folder) fetch(d *dir, ref engine.Ref) (engine.Item, error) {
	it := engine.Item{Head: engine.Head{Ref: ref}}
	name := nameOf(ref)
	if !f.holds(name) {
		return it, fs.ErrNotExist
	}
	text, st, err := d.read(name)
	for tries := 1; err == errMoving && tries < 3; tries++ {
		text, st, err = d.read(name)
	}
	switch {
	case err == unix.ENOENT && f.saving(d, name):
		return it, engine.Fail(engine.Busy, "fetch", f.on(ref), "somebody is saving it")
	case err == unix.ENOENT, err == unix.ENAMETOOLONG:
		return it, fs.ErrNotExist
	case err == errMoving:
		return it, engine.Fail(engine.Busy, "fetch", f.on(ref), "%w", err)
	case err == errIrregular, err == unix.ELOOP:
		return it, engine.Fail(engine.InvalidItem, "fetch", f.on(ref), "%w", errIrregular)
	case err != nil:
		return it, fail("fetch", f.on(ref), err)
	}
	if !finished(text) {
		if f.young(st.mtime) {
			return it, engine.Fail(engine.Busy, "fetch", f.on(ref), "somebody has not finished writing it")
		}
		return it, engine.Fail(engine.InvalidItem, "fetch", f.on(ref), "the file is cut off, or no calendar or contact at all; mend it or remove it")
	}
	it.Text, it.Etag = text, st.etag(f.source.now())
	return it, nil
}

// finished reports whether a text has an end to each beginning. A part of a
// text, as an editor leaves for a moment and a crash for ever, has not.
func finished(text []byte) bool {
	open, all := 0, 0
	for rest := bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")); len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			end = len(rest) - 1
		}
		line := bytes.TrimRight(rest[:end+1], " \t\r\n")
		rest = rest[end+1:]
		switch first, last, _ := bytes.Cut(line, []byte(":")); {
		case !bytes.EqualFold(last, []byte("VCALENDAR")) && !bytes.EqualFold(last, []byte("VCARD")):
		case bytes.EqualFold(first, []byte("BEGIN")):
			open, all = open+1, all+1
		case bytes.EqualFold(first, []byte("END")):
			open--
		}
	}
	return open == 0 && all > 0
}
