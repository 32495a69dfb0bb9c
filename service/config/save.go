package config

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/google/renameio/v2"

	"davbus.org/davbus/engine"
)

// SaveAccount writes the file of an account: a new one, or the one there with
// what differs changed.
func (f *Folder) SaveAccount(a engine.AccountConfig) error {
	specs, ok := f.specs(a.Kind)
	if !ok {
		return engine.Fail(engine.NotSupported, "save", string(a.ID), "there is no account kind %q", a.Kind)
	}
	want := []setting{{"kind", a.Kind, true}, {"display-name", a.DisplayName, a.DisplayName != ""}, {"enabled", a.Enabled, !a.Enabled}}
	for _, s := range specs {
		v, set := a.Params[s.Name]
		want = append(want, setting{keyOf(s.Name), v, set})
	}
	return f.save(accountFile(a.ID), want, func(d *document) (bool, error) {
		got, err := f.accountOf(engine.AccountConfig{ID: a.ID, Enabled: true}, d)
		got.Managed, got.Invalid = a.Managed, a.Invalid
		return sameAccount(got, a), err
	})
}

func sameAccount(a, b engine.AccountConfig) bool {
	if len(a.Params) != len(b.Params) {
		return false
	}
	for name, v := range a.Params {
		if !reflect.DeepEqual(v, b.Params[name]) && !(len(listOf(v)) == 0 && len(listOf(b.Params[name])) == 0 && v != nil) {
			return false
		}
	}
	return a.Kind == b.Kind && a.DisplayName == b.DisplayName && a.Enabled == b.Enabled
}

// SaveGroup writes the file of a group.
func (f *Folder) SaveGroup(g engine.GroupConfig) error {
	std := engine.DefaultGroup()
	defaults := groupKeys(&std)
	var want []setting
	for i, k := range groupKeys(&g) {
		v, usual := valueIn(k.field), valueIn(defaults[i].field)
		differs := !reflect.DeepEqual(v, usual) && !(len(listOf(v)) == 0 && len(listOf(usual)) == 0 && listLike(v))
		want = append(want, setting{k.name, v, differs || k.name == "members"})
	}
	return f.save(groupFile(g.ID), want, func(d *document) (bool, error) {
		got, err := groupOf(engine.DefaultGroup(), d)
		if err != nil {
			return false, err
		}
		now, then := groupKeys(&got), groupKeys(&g)
		return slices.EqualFunc(now, then, func(a, b groupKey) bool {
			x, y := valueIn(a.field), valueIn(b.field)
			return reflect.DeepEqual(x, y) || listLike(x) && len(listOf(x)) == 0 && len(listOf(y)) == 0
		}), nil
	})
}

func listLike(v any) bool { _, ok := v.([]string); return ok }

func valueIn(field any) any { return reflect.ValueOf(field).Elem().Interface() }

// RemoveAccount and RemoveGroup remove a file.
func (f *Folder) RemoveAccount(id engine.AccountID) error { return f.remove(accountFile(id)) }
func (f *Folder) RemoveGroup(id engine.GroupID) error     { return f.remove(groupFile(id)) }

func (f *Folder) remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.unchanged(name); err != nil {
		return err
	}
	path := filepath.Join(f.path, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return engine.Fail(engine.StorageError, "remove", path, "%w", err)
	}
	delete(f.loaded, name)
	return syncFolder(filepath.Dir(path))
}

// save brings a file to what is wanted. check reads the new text back.
func (f *Folder) save(name string, want []setting, check func(*document) (bool, error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.unchanged(name); err != nil {
		return err
	}
	path := filepath.Join(f.path, name)
	was := f.loaded[name].data
	if was == nil {
		was = []byte(firstLine)
	}
	text, err := edit(path, was, want)
	if err != nil {
		return err
	}
	d, err := parseDocument(path, text)
	if err != nil {
		return cannotEdit(path)
	}
	if ok, err := check(d); err != nil || !ok {
		return cannotEdit(path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return engine.Fail(engine.StorageError, "write", path, "%w", err)
	}
	if err := renameio.WriteFile(path, text, 0o600); err != nil {
		return engine.Fail(engine.StorageError, "write", path, "%w", err)
	}
	f.loaded[name] = file{data: text}
	return syncFolder(filepath.Dir(path))
}

// firstLine tells who opens a new file what it is. It stays as long as it is left.
const firstLine = "# For davbus: davbus-config(5) explains every key. After an edit: davbus reload\n"

func cannotEdit(path string) error {
	return engine.Fail(engine.InvalidConfig, "change", path, "it is written in a way that only a person can change; edit it there and reload")
}

// unchanged refuses to write a file that is not as it was loaded, or not ours to
// write.
func (f *Folder) unchanged(name string) error {
	path := filepath.Join(f.path, name)
	now, there := f.read(name)
	was, known := f.loaded[name]
	switch {
	case there && now.managed:
		return engine.Fail(engine.Managed, "change", path, "it is a link or cannot be written; edit it there and reload")
	case there != known || !bytes.Equal(now.data, was.data) || now.err != nil:
		return engine.Fail(engine.InvalidConfig, "change", path, "it was changed on disk since it was loaded; reload first")
	}
	return nil
}

// syncFolder makes a rename or a removal durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return engine.Fail(engine.StorageError, "sync", path, "%w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return engine.Fail(engine.StorageError, "sync", path, "%w", err)
	}
	return nil
}
