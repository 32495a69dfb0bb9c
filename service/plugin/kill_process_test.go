package plugin_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/engine/storage/remote"
	"davbus.org/davbus/engine/storage/vdir"
	"davbus.org/davbus/service/plugin"
	child "davbus.org/davbus/transports/plugin"
)

// A doomed plugin keeps a folder, and is killed by SIGKILL at one of its messages:
// one that it has read and not looked at, or one of which it has written half.
type doomed struct {
	mu   sync.Mutex
	left int // messages until then; the first process of a folder alone is doomed
}

func (d *doomed) message() (last bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left--
	return d.left == 0
}

func (d *doomed) Read(p []byte) (int, error) {
	n, err := os.Stdin.Read(p)
	for range bytes.Count(p[:n], []byte("\n")) {
		if d.message() {
			die()
		}
	}
	return n, err
}

func (d *doomed) Write(p []byte) (int, error) {
	if d.message() {
		os.Stdout.Write(p[:len(p)/2]) // and dies
		die()
	}
	return os.Stdout.Write(p)
}

func (d *doomed) Close() error { return os.Stdin.Close() }

func die() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// keepFolder is the plugin's main. How many messages it had, it leaves in a file.
func keepFolder(path, killAt string) {
	at, _ := strconv.Atoi(killAt)
	d := &doomed{left: at}
	err := plugin.Serve(d, "folder", func(engine.Params) (engine.Source, error) {
		return sameFolder{vdir.New(vdir.Options{Path: path})}, nil
	})
	if at == 0 {
		err = os.WriteFile(path+".messages", fmt.Append(nil, -d.left), 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A sameFolder is one storage wherever it was copied to.
type sameFolder struct{ engine.Source }

func (s sameFolder) Look(ctx context.Context, fresh bool) ([]engine.Collection, error) {
	found, err := s.Source.Look(ctx, fresh)
	for i := range found {
		found[i].Identity = "the folder"
	}
	return found, err
}

func (s sameFolder) Open(c engine.Collection) (engine.Storage, error) {
	c.Identity = "" // whichever it is
	return s.Source.Open(c)
}

// A folder that a plugin keeps, in a process that is killed once.
type killedFolder struct {
	path   string
	killAt int
	starts int
	source *remote.Source
}

func newKilledFolder(t *testing.T, path string, killAt int) *killedFolder {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k := &killedFolder{path: path, killAt: killAt}
	k.source = remote.New(remote.Options{Account: "p", Host: host{}, Dial: func(_ context.Context, to *remote.Source) (remote.Caller, error) {
		k.starts++
		at := -1
		if k.starts == 1 {
			at = k.killAt
		}
		return child.Start(child.Options{Notify: to.Notify, Handle: to.Handle, Argv: []string{self},
			Env: []string{"DAVBUS_PLUGIN_FOLDER=" + path, "KILL_AT=" + strconv.Itoa(at), "GORACE=atexit_sleep_ms=0"}})
	}})
	return k
}

// names are the items of the folder, by UID.
func (k *killedFolder) names(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	files, err := filepath.Glob(filepath.Join(k.path, "cal", "*"))
	for _, file := range files {
		text, e := os.ReadFile(file)
		if e != nil {
			err = e
		}
		info := item.Read(text)
		all[string(info.UID)] += info.Summary
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A world is what a kill begins from: ten items in step at a folder and here, and
// then edits, new items and deletions at both.
type killWorld struct {
	t      *testing.T
	folder string
	ledger string
	here   map[engine.Ref]string // before the edits
	want   map[string]string
}

func (w *killWorld) put(path, uid, summary string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(path, "cal", uid+".ics"), event(uid, summary), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func newKillWorld(t *testing.T) *killWorld {
	t.Helper()
	w := &killWorld{t: t, folder: filepath.Join(t.TempDir(), "folder"), ledger: t.TempDir(), want: map[string]string{}}
	if err := os.MkdirAll(filepath.Join(w.folder, "cal"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		w.put(w.folder, fmt.Sprint(i), "base")
		w.want[fmt.Sprint(i)] = "base"
	}
	here := filled(0)
	w.sync(w.folder, w.ledger, -1, here, func(s *set, _ *killedFolder) { s.sync() })
	w.here = maps.Clone(calendarOf(t, here).Texts())
	w.put(w.folder, "0", "edited there")
	w.put(w.folder, "new", "new there")
	if err := os.Remove(filepath.Join(w.folder, "cal", "1.ics")); err != nil {
		t.Fatal(err)
	}
	maps.Copy(w.want, map[string]string{"0": "edited there", "new": "new there", "2": "edited here", "mine": "new here"})
	delete(w.want, "1")
	delete(w.want, "3")
	return w
}

func calendarOf(t *testing.T, s *memory.Source) *memory.Storage {
	t.Helper()
	found, err := s.Look(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return st.(*memory.Storage)
}

// sync opens a ledger and a folder for what is done with them.
func (w *killWorld) sync(folder, at string, killAt int, here *memory.Source, do func(*set, *killedFolder)) {
	w.t.Helper()
	l, _, err := ledger.Open(filepath.Join(at, "ledger"))
	if err != nil {
		w.t.Fatal(err)
	}
	k := newKilledFolder(w.t, folder, killAt)
	defer k.source.Close()
	s := newSet(w.t, l, k.source, here)
	do(s, k)
	if err := l.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// kill has the process killed at one message; 0 never, and it gives how many
// messages there were.
func (w *killWorld) kill(at int) int {
	w.t.Helper()
	dir := w.t.TempDir()
	folder, copied := filepath.Join(dir, "folder"), filepath.Join(dir, "ledger")
	if err := os.CopyFS(folder, os.DirFS(w.folder)); err != nil {
		w.t.Fatal(err)
	}
	if err := os.CopyFS(copied, os.DirFS(w.ledger)); err != nil {
		w.t.Fatal(err)
	}
	here := filled(0)
	cal := calendarOf(w.t, here)
	for ref, text := range w.here {
		cal.Put(ref, []byte(text))
	}
	for ref, text := range w.here {
		switch item.Read([]byte(text)).UID {
		case "2":
			cal.Put(ref, event("2", "edited here"))
		case "3":
			cal.Remove(ref)
		}
	}
	cal.Put("mine", event("mine", "new here"))
	w.sync(folder, copied, at, here, func(s *set, k *killedFolder) {
		s.try() // what comes of it is not the matter
		if at == 0 {
			return
		}
		s.sync()
		if k.starts != 2 {
			w.t.Errorf("killed at message %d: it was started %d times", at, k.starts)
		}
		for where, got := range map[string]map[string]string{"in the folder": k.names(w.t), "here": items(cal)} {
			if !maps.Equal(got, w.want) {
				w.t.Errorf("killed at message %d, %s: %v, want %v", at, where, got, w.want)
			}
		}
		if _, did := s.sync(); did.Added+did.Modified+did.Removed+did.Conflicts+did.Failed > 0 {
			w.t.Errorf("killed at message %d: the last run did %+v", at, did)
		}
	})
	if at > 0 {
		return 0
	}
	text, err := os.ReadFile(folder + ".messages")
	n, wrong := strconv.Atoi(strings.TrimSpace(string(text)))
	n -= 2 // finalize
	if err != nil || wrong != nil || n < 20 {
		w.t.Fatalf("%d messages, %v %v", n, err, wrong)
	}
	return n
}

// A plugin's process may be killed, by SIGKILL, at any message of a sync: the
// next sync starts it anew and brings everything into step; nothing is lost,
// nothing is doubled, and a run after that has nothing to do. Here at some
// messages, a full round of them in the further tests.
func TestAPluginsProcessMayBeKilledAtAnyMessageOfASync(t *testing.T) {
	killAtEach(t, 6)
}

// killAtEach kills at every so manieth message; what comes before a sync begins
// (initialize, discover) is not among them.
func killAtEach(t *testing.T, step int) {
	const before = 4
	w := newKillWorld(t)
	messages := w.kill(0)
	for at := before + 1; at <= messages; at += step {
		w.kill(at)
	}
}
