// Package vdir keeps items as plain files: one folder below a root for each
// collection, one file for each item. khal, khard, todoman and editors read and
// write the same files at the same time, and nobody takes turns.
//
// Read folder.go for how files are read, batch.go and swap.go for how they are
// written, leftover.go for what a crash leaves behind.
//
// # What is an item
//
// A regular file whose name ends in .ics (calendars) or .vcf (address books) and
// does not begin with a dot. A symbolic link, FIFO or folder of such a name is
// listed, so that it is not taken for a deletion, but cannot be fetched. Names
// that end in .tmp are temporary, ours or anybody's.
//
// # Limits
//
// An editor that opens a file for writing before a write of ours displaces it
// and writes to it later is noticed on Linux's own file systems (by a lease on
// the displaced file). Elsewhere there is a gap of microseconds. Where neither
// renames that exchange nor hard links exist (some FUSE file systems), another
// editor's save between check and rename is overwritten.
//
// A folder on FAT or FUSE is known by its path, since nothing else of it lasts:
// one stick in the place of another is found by what is in it alone. File times
// that a server gives (NFS) are trusted as if its clock were ours.
package vdir

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"davbus.org/davbus/engine"
	"golang.org/x/sys/unix"
)

// Options say where the folders are.
type Options struct {
	Path      string // of the root, absolute
	Kind      string // of folders whose files do not tell; may be ""
	WriteName bool   // write display names too: a khal configuration may refer to them

	// Step is asked before each step on the files of a collection; an error is
	// what came of it. Tests fail or stop there. nil for none.
	Step func(op, name string) error
}

// A Source is a root folder with one collection in each folder below it.
type Source struct {
	opt Options
	own ownWrites

	now func() time.Time
}

var _ engine.Watcher = (*Source)(nil)

// New makes a source. It touches no file.
func New(opt Options) *Source {
	if opt.Step == nil {
		opt.Step = anyStep
	}
	return &Source{opt: opt, now: clock}
}

// Look lists the folders. A root that is not there is an error of kind Offline,
// never an account without collections.
func (s *Source) Look(ctx context.Context, fresh bool) ([]engine.Collection, error) {
	root, err := s.root("look at")
	if err != nil {
		return nil, err
	}
	defer root.close()
	names, err := root.names()
	if err != nil {
		return nil, fail("look at", s.opt.Path, err)
	}
	slices.Sort(names)
	var found []engine.Collection
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, engine.Fail(engine.Cancelled, "look at", s.opt.Path, "%w", err)
		}
		if !goodFolder(name) {
			continue
		}
		c, err := s.collection(root, name)
		if errors.Is(err, fs.ErrNotExist) || err == unix.ENOTDIR || err == unix.ELOOP || err == unix.EMLINK {
			continue // a file or a link, or gone by now
		}
		if err != nil {
			return nil, fail("look at", filepath.Join(s.opt.Path, name), err)
		}
		found = append(found, c)
	}
	return found, nil
}

// collection describes one folder below the root.
func (s *Source) collection(root *dir, name string) (engine.Collection, error) {
	c := engine.Collection{Name: name, Kind: s.opt.Kind, Parent: filepath.Base(s.opt.Path), Folder: filepath.Join(s.opt.Path, name)}
	d, err := root.sub(name)
	closed := err == unix.EACCES // it is there all the same; its storage tells why it does not open
	if closed {
		d, err = root.peek(name)
	}
	if err != nil {
		return c, err
	}
	defer d.close()
	if c.Identity, err = d.identity(); err != nil || closed {
		return c, err
	}
	names, err := d.names()
	if err != nil {
		return c, err
	}
	if kind := kindOf(names); kind != "" {
		c.Kind = kind
	}
	c.Writable = d.writable()
	c.Meta, _ = readMeta(d) // what cannot be read is told by Meta
	return c, nil
}

// kindOf tells the kind of a folder by its files: what most of them are.
func kindOf(names []string) string {
	n := map[string]int{}
	for _, name := range names {
		n[itemKind(name)]++
	}
	switch {
	case n[engine.Calendar] == 0 && n[engine.AddressBook] == 0:
		return ""
	case n[engine.Calendar] >= n[engine.AddressBook]:
		return engine.Calendar
	}
	return engine.AddressBook
}

// Open gives the storage of a folder. The folder is opened anew for each call,
// and is an error of kind CollectionGone once it is another one than c names.
func (s *Source) Open(c engine.Collection) (engine.Storage, error) {
	if !goodFolder(c.Name) {
		return nil, engine.Fail(engine.CollectionGone, "open", c.Name, "no folder of a collection has this name")
	}
	return &Folder{source: s, name: c.Name, kind: c.Kind, ident: c.Identity, step: s.opt.Step}, nil
}

// Make makes a folder. It never makes the root: a root that is not mounted must
// not be mistaken for an empty one.
func (s *Source) Make(ctx context.Context, c engine.Collection) (engine.Collection, error) {
	if err := ctx.Err(); err != nil {
		return engine.Collection{}, engine.Fail(engine.Cancelled, "make", c.Name, "%w", err)
	}
	root, err := s.root("make a folder in")
	if err != nil {
		return engine.Collection{}, err
	}
	defer root.close()
	name := folderName(c.Name)
	path := filepath.Join(s.opt.Path, name)
	if err := root.mkdir(name); err != nil {
		return engine.Collection{}, fail("make", path, err)
	}
	s.own.made()
	if err := root.sync(); err != nil {
		return engine.Collection{}, fail("make", path, err)
	}
	made, err := s.collection(root, name)
	if err != nil {
		return engine.Collection{}, fail("make", path, err)
	}
	made.ID, made.Components = c.ID, c.Components
	if made.Kind = c.Kind; made.Kind == "" {
		made.Kind = s.opt.Kind
	}
	folder := &Folder{source: s, name: name, kind: made.Kind, ident: made.Identity, step: s.opt.Step}
	for key, value := range c.Meta {
		if err := folder.SetMeta(ctx, key, value, true); err != nil && !engine.IsKind(err, engine.NotSupported) {
			return made, err
		}
	}
	made.Meta, err = folder.Meta(ctx)
	return made, err
}

// Capabilities is empty: folders have none that differ.
func (s *Source) Capabilities() []string { return nil }

// Close has nothing to end: Watch ends with its context.
func (s *Source) Close() error { return nil }

// root opens the root folder.
func (s *Source) root(op string) (*dir, error) {
	d, err := openDir(s.opt.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, engine.Fail(engine.Offline, op, s.opt.Path, "the folder is not there; make it, mount it, or correct the path of the account")
	}
	if err != nil {
		return nil, fail(op, s.opt.Path, err)
	}
	return d, nil
}

// goodFolder reports whether a folder of this name is a collection.
func goodFolder(name string) bool {
	return name != "" && name[0] != '.' && !strings.ContainsAny(name, "/\x00")
}

// fail makes an error of what a system call said.
func fail(op, on string, err error) error {
	kind := engine.StorageError
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		kind = engine.QuotaExceeded
	case errors.Is(err, unix.EROFS):
		kind = engine.ReadOnly
	case errors.Is(err, unix.EEXIST):
		kind = engine.AlreadyExists
	case errors.Is(err, unix.EFBIG):
		kind = engine.TooLarge
	}
	return engine.Fail(kind, op, on, "%w", err)
}
