package vdir

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"davbus.org/davbus/engine"
	"github.com/fsnotify/fsnotify"
)

// tended is how often what is watched is compared with what is there: a mount
// and a root that was not there make no report.
const tended = 30 * time.Second

// A watch is one run of Watch.
type watch struct {
	s       *Source
	w       *fsnotify.Watcher
	touch   func(where string)
	folders map[string]string // identity of each folder that is watched, by path
}

// Watch reports each folder in which somebody else changed an item, metadata or
// the folder itself, often more than once. Reports of what this source wrote
// itself are left out. A folder is reported when its watch begins: what happened
// before is for the next run to find.
func (s *Source) Watch(ctx context.Context, touch func(where string)) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return engine.Fail(engine.LimitExceeded, "watch", s.opt.Path, "%w; raise fs.inotify.max_user_instances", err)
	}
	defer w.Close()
	wake, end := s.own.watch()
	defer end()
	run := &watch{s: s, w: w, touch: touch, folders: map[string]string{}}
	tick := time.NewTicker(tended)
	defer tick.Stop()
	if err := run.tend(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-w.Events:
			err = run.event(e)
		case e := <-w.Errors:
			if !errors.Is(e, fsnotify.ErrEventOverflow) {
				return fail("watch", s.opt.Path, e)
			}
			touch("")
			err = run.tend()
		case <-tick.C:
			err = run.tend()
		case <-wake:
			for _, folder := range s.own.takeMoved() {
				touch(folder)
			}
			err = run.tend()
		}
		if err != nil {
			return err
		}
	}
}

// tend watches every folder that is not watched yet, or that is another one
// than was watched under this name.
func (r *watch) tend() error {
	root, err := r.s.root("watch")
	if err != nil {
		return nil // nothing to watch until it is there
	}
	defer root.close()
	here := map[string]string{}
	if here[r.s.opt.Path], err = root.identity(); err != nil {
		return nil
	}
	names, _ := root.names()
	for _, name := range names {
		if !goodFolder(name) {
			continue
		}
		if d, err := root.sub(name); err == nil {
			if ident, err := d.identity(); err == nil {
				here[filepath.Join(r.s.opt.Path, name)] = ident
			}
			d.close()
		}
	}
	for path := range r.folders {
		if here[path] == "" {
			r.w.Remove(path) // it may be gone already
			delete(r.folders, path)
			r.touch(r.where(path))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(here)) {
		known := r.folders[path]
		if known != "" && known != here[path] {
			r.w.Remove(path)
		}
		// What is watched is added too: it costs nothing, and mends a watch that was
		// lost when folders came and went faster than reports.
		if err := r.w.Add(path); err != nil {
			if r.gone(path) {
				continue
			}
			return engine.Fail(engine.LimitExceeded, "watch", path, "%w; raise fs.inotify.max_user_watches", err)
		}
		if r.folders[path] = here[path]; known != here[path] {
			r.touch(r.where(path))
		}
	}
	return nil
}

// where is what is told of a path: the root is everything.
func (r *watch) where(path string) string {
	if path == r.s.opt.Path {
		return ""
	}
	return path
}

func (r *watch) gone(path string) bool {
	d, err := openDir(path)
	if err != nil {
		return true
	}
	d.close()
	return false
}

func (r *watch) event(e fsnotify.Event) error {
	folder, name := filepath.Split(e.Name)
	folder = filepath.Clean(folder)
	switch {
	case e.Name == r.s.opt.Path || r.folders[e.Name] != "" && e.Op&(fsnotify.Remove|fsnotify.Rename) != 0:
		delete(r.folders, e.Name) // so that one of the same name is watched anew
		r.touch(r.where(e.Name))
		return r.tend()
	case folder == r.s.opt.Path:
		if e.Op&(fsnotify.Create|fsnotify.Remove|fsnotify.Rename) != 0 && goodFolder(name) {
			r.touch(e.Name) // also if it has come and gone meanwhile
			return r.tend()
		}
	case r.folders[folder] != "" && concerns(name) && e.Op != fsnotify.Chmod && !r.echo(e.Name, folder, name):
		r.touch(folder)
	}
	return nil
}

// concerns reports whether a file of this name is an item or metadata.
func concerns(name string) bool {
	if itemKind(name) != "" {
		return true
	}
	for _, key := range engine.MetaKeys {
		if metaFile(key) == name {
			return true
		}
	}
	return false
}

// echo reports whether the file is as this source left it.
func (r *watch) echo(path, folder, name string) bool {
	d, err := openDir(folder)
	if err != nil {
		return false
	}
	defer d.close()
	st, err := d.stat(name)
	return r.s.own.echo(path, st, err)
}
