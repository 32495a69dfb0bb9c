// Package config keeps the configuration in files that people edit and that the
// bus edits too: one YAML file for the daemon, and one for each account and each
// group.
//
// Every fault names file, line and column. A change rewrites only the file that
// it concerns and leaves its comments alone; it is refused if the file is not as
// it was when it was loaded. No secret is ever in a file.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"davbus.org/davbus/engine"
)

// A Folder is the folder that holds the configuration. Its methods may be called
// from any goroutine.
type Folder struct {
	path  string
	specs Specs

	mu     sync.Mutex
	loaded map[string]file // by name below path: what is in force
}

// Specs tells the parameters of a kind of account; false if there is no such
// kind.
type Specs func(kind string) ([]engine.ParamSpec, bool)

// A Config is everything that the files say.
type Config struct {
	Daemon   Daemon
	Accounts []engine.AccountConfig
	Groups   []engine.GroupConfig

	files map[string]file
}

// A Daemon is what davbus.yaml says.
type Daemon struct {
	LogLevel    string
	IdleExitSec uint32   // 0: never
	ContentApps []string // sandboxed applications that may read and write items

	IntroductionSocket bool // programs without a bus may introduce each other
	OCapNSocket        bool // and those that speak the records of OCapN's netlayer

	Invalid error // why the file cannot be used; the defaults hold then
}

// DefaultDaemon is a davbus.yaml that says nothing.
func DefaultDaemon() Daemon {
	return Daemon{LogLevel: "info", IdleExitSec: 600, IntroductionSocket: true}
}

// A file is one file as it was read.
type file struct {
	data    []byte
	managed bool  // a link, or not writable
	err     error // why it cannot be read
}

const (
	daemonFile   = "davbus.yaml"
	accountsPart = "accounts"
	groupsPart   = "groups"
	maxSize      = 1 << 20
)

// Open gives a configuration folder, which need not exist. Nothing is read yet.
func Open(path string, specs Specs) *Folder {
	return &Folder{path: path, specs: specs, loaded: map[string]file{}}
}

// Path is where it is.
func (f *Folder) Path() string { return f.path }

// Load reads everything and puts it into force. A file with a fault makes its
// account or group invalid and nothing else; an error means that the folder
// itself cannot be read.
func (f *Folder) Load() (Config, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	files, err := f.scan()
	if err != nil {
		return Config{}, err
	}
	c := f.parse(files)
	f.loaded = files
	return c, nil
}

// Read reads everything again without putting it into force. The first fault in
// a file that changed is an error; a file with a fault that did not change stays
// invalid.
func (f *Folder) Read() (Config, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	files, err := f.scan()
	if err != nil {
		return Config{}, err
	}
	c := f.parse(files)
	changed := func(name string) bool { return !same(files[name], f.loaded[name]) }
	if c.Daemon.Invalid != nil && changed(daemonFile) {
		return Config{}, c.Daemon.Invalid
	}
	for _, a := range c.Accounts {
		if a.Invalid != nil && changed(accountFile(a.ID)) {
			return Config{}, a.Invalid
		}
	}
	for _, g := range c.Groups {
		if g.Invalid != nil && changed(groupFile(g.ID)) {
			return Config{}, g.Invalid
		}
	}
	return c, nil
}

// Accept puts into force what Read gave.
func (f *Folder) Accept(c Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loaded = c.files
}

// Changed reports whether any file is not as it was loaded.
func (f *Folder) Changed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	files, err := f.scan()
	if err != nil || len(files) != len(f.loaded) {
		return true
	}
	for name, now := range files {
		if was, ok := f.loaded[name]; !ok || !same(now, was) {
			return true
		}
	}
	return false
}

func same(a, b file) bool {
	return bytes.Equal(a.data, b.data) && a.managed == b.managed && (a.err == nil) == (b.err == nil)
}

// scan reads every file of ours below the folder.
func (f *Folder) scan() (map[string]file, error) {
	files := map[string]file{}
	if one, ok := f.read(daemonFile); ok {
		files[daemonFile] = one
	}
	for _, part := range []string{accountsPart, groupsPart} {
		entries, err := os.ReadDir(filepath.Join(f.path, part))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, engine.Fail(engine.InvalidConfig, "read the configuration", filepath.Join(f.path, part), "%w", err)
		}
		for _, e := range entries {
			if name := e.Name(); filepath.Ext(name) == ".yaml" && !strings.HasPrefix(name, ".") {
				if one, ok := f.read(part + "/" + name); ok {
					files[part+"/"+name] = one
				}
			}
		}
	}
	return files, nil
}

// read reads one file; false if there is none.
func (f *Folder) read(name string) (file, bool) {
	path := filepath.Join(f.path, name)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return file{}, false
	}
	if err != nil {
		return file{err: err}, true
	}
	one := file{managed: info.Mode().Type() != 0 || info.Mode().Perm()&0o200 == 0 || !writable(path)}
	if info, err = os.Stat(path); err == nil {
		switch {
		case !info.Mode().IsRegular():
			err = errors.New("it is no regular file")
		case info.Size() > maxSize:
			err = fmt.Errorf("it is larger than %d bytes", maxSize)
		default:
			one.data, err = os.ReadFile(path)
		}
	}
	one.err = err
	return one, true
}

// writable reports whether a file may be written, by trying to.
func writable(path string) bool {
	f, err := os.OpenFile(path, os.O_WRONLY|openFlags, 0)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// parse understands all files; each fault stays with its account or group.
func (f *Folder) parse(files map[string]file) Config {
	c := Config{Daemon: DefaultDaemon(), files: files}
	accounts := map[string]bool{}
	for _, name := range slices.Sorted(keys(files)) {
		part, base, _ := strings.Cut(name, "/")
		id := strings.TrimSuffix(base, ".yaml")
		doc, err := f.document(name, files[name])
		switch {
		case name == daemonFile:
			c.Daemon, err = daemonOf(doc, err)
			if c.Daemon.Invalid = err; err != nil {
				c.Daemon = DefaultDaemon()
				c.Daemon.Invalid = err
			}
		case part == accountsPart:
			a := engine.AccountConfig{ID: engine.AccountID(id), Enabled: true}
			if err == nil {
				a, err = f.accountOf(a, doc)
			}
			a.Managed, a.Invalid = files[name].managed, err
			accounts[id] = true
			c.Accounts = append(c.Accounts, a)
		case part == groupsPart:
			g := engine.DefaultGroup()
			g.ID = engine.GroupID(id)
			if err == nil {
				g, err = groupOf(g, doc)
			}
			if err == nil && accounts[id] {
				err = doc.fault(1, 1, "an account has the id %q; accounts and groups share one name space", id)
			}
			g.Managed, g.Invalid = files[name].managed, err
			c.Groups = append(c.Groups, g)
		}
	}
	return c
}

func (f *Folder) document(name string, one file) (*document, error) {
	path := filepath.Join(f.path, name)
	if one.err != nil {
		return nil, engine.Fail(engine.InvalidConfig, "read", path, "%w", one.err)
	}
	return parseDocument(path, one.data)
}

func accountFile(id engine.AccountID) string { return accountsPart + "/" + string(id) + ".yaml" }
func groupFile(id engine.GroupID) string     { return groupsPart + "/" + string(id) + ".yaml" }

func keys(m map[string]file) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
