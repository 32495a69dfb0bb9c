package group_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/storage/dav"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/engine/storage/vdir"
)

// A place is where a member keeps its items, with the hands of its owner, which
// work beside the engine, and a count of what the engine asked.
type place interface {
	Put(ref engine.Ref, text []byte) engine.Head
	Remove(ref engine.Ref)
	Touch(ref engine.Ref)
	Texts() map[engine.Ref]string
	EditMeta(key engine.MetaKey, value string, set bool)
	Meta(ctx context.Context) (engine.Meta, error)
	Counts() memory.Counts
	ResetCounts()
}

// over runs a scenario over members in memory, over real folders and real HTTP
// servers, both ways round, and with the tag real over a folder and a calendar on
// each of the servers that people have.
func over(t *testing.T, members int, scenario func(t *testing.T, w *world)) {
	overOurs(t, members, scenario)
	for _, name := range distantServers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario(t, realWorld(t, []string{"folder", name, "folder"}[:members]...))
		})
	}
}

// overOurs is over for scenarios that the other servers do not let happen.
func overOurs(t *testing.T, members int, scenario func(t *testing.T, w *world)) {
	kinds := []string{"folder", "server", "folder"}
	t.Run("memory", func(t *testing.T) { scenario(t, newWorld(t, members)) })
	t.Run("folder, server", func(t *testing.T) { t.Parallel(); scenario(t, realWorld(t, kinds[:members]...)) })
	t.Run("server, folder", func(t *testing.T) {
		t.Parallel()
		scenario(t, realWorld(t, []string{"server", "folder", "server"}[:members]...))
	})
}

// overServer is over for scenarios in which one of two members does something
// that only a server does: its hooks are w.stores[server].
func overServer(t *testing.T, server int, scenario func(t *testing.T, w *world)) {
	kinds := []string{"folder", "folder"}
	kinds[server] = "server"
	t.Run("memory", func(t *testing.T) { scenario(t, newWorld(t, 2)) })
	t.Run(strings.Join(kinds, ", "), func(t *testing.T) { t.Parallel(); scenario(t, realWorld(t, kinds...)) })
}

// realWorld has folders on the disk and calendars on HTTP servers for members.
func realWorld(t *testing.T, kinds ...string) *world {
	w := newWorld(t, len(kinds))
	w.furnish(t, kinds...)
	return w
}

func (w *world) furnish(t *testing.T, kinds ...string) {
	w.real = true
	for i, kind := range kinds {
		m := &w.members[i]
		if kind == "folder" {
			f := newFolder(t)
			w.stores[i], w.places[i], m.Storage, m.Identity = nil, f, f.counting, f.identity
			continue
		}
		if kind != "server" {
			d := newDistant(t, kind)
			w.stores[i], w.places[i], m.Storage, m.Identity = nil, d, d.counting, d.identity
			continue
		}
		s := newServed(t)
		w.servers[i] = s.server
		w.stores[i], w.places[i], m.Storage, m.Identity = s.Storage, s, s.counting, s.identity
	}
}

// rest lets the files that were written by hand come to rest: the next run reads
// such a file once more, since it could have changed within one tick of its clock.
func (w *world) rest() {
	w.t.Helper()
	if !w.real {
		return
	}
	for _, p := range w.places {
		if f, is := p.(*folder); is {
			f.rest()
		}
	}
	w.sync()
}

// A served place is a calendar on an HTTP server of ours.
type served struct {
	*memory.Storage // behind the server
	*counting
	server   *davtest.Server
	identity string
}

func (s *served) Counts() memory.Counts { return s.counting.Counts() }
func (s *served) ResetCounts()          { s.counting.ResetCounts() }
func (s *served) Meta(ctx context.Context) (engine.Meta, error) {
	return s.counting.meta.Meta(ctx)
}

func newServed(t testing.TB) *served {
	srv := davtest.New(t, davtest.Options{})
	s := &served{Storage: srv.Calendar("cal"), server: srv}
	src, err := dav.New(dav.Options{URL: srv.URL + "/", Client: srv.Client(t).Transport})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	s.counting, s.identity = counted(t, src)
	return s
}

// counted opens the one collection of a source.
func counted(t testing.TB, src engine.Source) (*counting, string) {
	all, err := src.Look(t.Context(), false)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	return opened(t, src, all[0]), all[0].Identity
}

func opened(t testing.TB, src engine.Source, found engine.Collection) *counting {
	st, err := src.Open(found)
	if err != nil {
		t.Fatal(err)
	}
	c := &counting{Storage: st, meta: st.(engine.MetaStorage)}
	c.tracker, _ = st.(engine.Tracker)
	return c
}

// A counting storage counts what the engine asks of another.
type counting struct {
	engine.Storage
	meta    engine.MetaStorage
	tracker engine.Tracker

	mu sync.Mutex
	c  memory.Counts
}

func (c *counting) count(with func(*memory.Counts)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	with(&c.c)
}

func (c *counting) Counts() (n memory.Counts) {
	c.count(func(now *memory.Counts) { n = *now })
	return n
}
func (c *counting) ResetCounts() { c.count(func(n *memory.Counts) { *n = memory.Counts{} }) }

func (c *counting) List(ctx context.Context) iter.Seq2[engine.Head, error] {
	c.count(func(n *memory.Counts) { n.List++ })
	return c.Storage.List(ctx)
}

func (c *counting) Fetch(ctx context.Context, refs []engine.Ref) iter.Seq2[engine.Item, error] {
	c.count(func(n *memory.Counts) { n.Fetch++; n.Fetched += len(refs) })
	return c.Storage.Fetch(ctx, refs)
}

func (c *counting) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	c.count(func(n *memory.Counts) {
		for _, w := range writes {
			*[...]*int{engine.Create: &n.Create, engine.Replace: &n.Replace, engine.Delete: &n.Delete}[w.Verb]++
		}
	})
	return c.Storage.Apply(ctx, writes)
}

func (c *counting) Changes(ctx context.Context, since engine.Token) (engine.Delta, error) {
	if c.tracker == nil {
		return engine.Delta{}, engine.Fail(engine.NotSupported, "list changes", "", "a folder tells none")
	}
	c.count(func(n *memory.Counts) { n.Changes++ })
	return c.tracker.Changes(ctx, since)
}

func (c *counting) Meta(ctx context.Context) (engine.Meta, error) { return c.meta.Meta(ctx) }

func (c *counting) SetMeta(ctx context.Context, key engine.MetaKey, value string, set bool) error {
	c.count(func(n *memory.Counts) { n.SetMeta++ })
	return c.meta.SetMeta(ctx, key, value, set)
}

// A folder is a calendar in a folder. Refs are names without ".ics".
type folder struct {
	*counting
	t        testing.TB
	path     string
	identity string
	edits    int
}

func newFolder(t testing.TB) *folder {
	root := t.TempDir()
	f := &folder{t: t, path: filepath.Join(root, "cal")}
	f.must(os.Mkdir(f.path, 0o700))
	src := vdir.New(vdir.Options{Path: root, Kind: engine.Calendar, WriteName: true})
	f.counting, f.identity = counted(t, src)
	return f
}

func (f *folder) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) file(ref engine.Ref) string {
	if strings.Contains(string(ref), "/") || len(ref) > 200 {
		ref = engine.Ref(fmt.Sprintf("%x", ref[:1]))
	}
	return filepath.Join(f.path, string(ref)+".ics")
}

// Put saves as editors do: whole, beside the old file, and then in its place.
func (f *folder) Put(ref engine.Ref, text []byte) engine.Head {
	f.t.Helper()
	f.edits++
	temp := filepath.Join(f.path, fmt.Sprintf(".edit-%d.tmp", f.edits))
	f.must(os.WriteFile(temp, text, 0o600))
	f.must(os.Rename(temp, f.file(ref)))
	return engine.Head{}
}

func (f *folder) Remove(ref engine.Ref) { f.must(os.Remove(f.file(ref))) }

func (f *folder) Touch(ref engine.Ref) {
	f.edits++
	at := time.Unix(int64(f.edits), 1)
	f.must(os.Chtimes(f.file(ref), at, at))
}

func (f *folder) Texts() map[engine.Ref]string {
	f.t.Helper()
	texts := map[engine.Ref]string{}
	names, err := filepath.Glob(filepath.Join(f.path, "*.ics"))
	f.must(err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		f.must(err)
		texts[engine.Ref(strings.TrimSuffix(filepath.Base(name), ".ics"))] = string(text)
	}
	return texts
}

func (f *folder) EditMeta(key engine.MetaKey, value string, set bool) {
	name := filepath.Join(f.path, string(key))
	if key == engine.MetaName {
		name = filepath.Join(f.path, "displayname")
	}
	if set {
		f.must(os.WriteFile(name, []byte(value+"\n"), 0o600))
	} else {
		f.must(os.Remove(name))
	}
}

// rest waits until no file can change any more without a new stamp: until then
// its etag ends in a "~" and a time, and is not given again.
func (f *folder) rest() {
	f.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for fresh := true; fresh; {
		<-tick.C
		fresh = false
		for h, err := range f.Storage.List(f.t.Context()) {
			f.must(err)
			fresh = fresh || strings.Contains(string(h.Etag), "~")
		}
	}
}
