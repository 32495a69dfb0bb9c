package group_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/engine/storage/dav"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/engine/storage/vdir"
)

// Cards are a folder, a server and a ledger on the disk, and a process
// between them that is killed at a step: a system call on the files, a request,
// an answer or a commit. Nothing that it does afterwards has any effect.
type cards struct {
	t      *testing.T
	server *davtest.Server
	remote *memory.Storage
	root   string // of the folders; the calendar is below it
	ledger *ledger.Ledger
	file   string // of the ledger
	src    *dav.Source
	client http.RoundTripper
	job    engine.JobID

	mu    sync.Mutex
	steps int
	kill  int // the step at which the process is killed; 0 never
	last  string
}

// newCards has a server that keeps what it is given, or one that adds to it.
func newCards(t *testing.T, rewrites bool) *cards {
	c := &cards{t: t, server: davtest.New(t, davtest.Options{}), root: t.TempDir(), file: filepath.Join(t.TempDir(), "ledger")}
	if c.remote = c.server.Calendar("cal"); rewrites {
		c.remote.Rewrite = rewriter
	}
	if err := os.Mkdir(filepath.Join(c.root, "cal"), 0o700); err != nil {
		t.Fatal(err)
	}
	c.start(c.file)
	t.Cleanup(func() { c.ledger.Close() })
	return c
}

// step counts a step; once the process is killed every step fails.
func (c *cards) step(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.steps++; c.kill == 0 || c.steps < c.kill {
		c.last = name
		return nil
	}
	return engine.Fail(engine.ConnectionLost, name, "", "killed")
}

// RoundTrip counts a request and its answer as one step each.
func (c *cards) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := c.step(r.Method); err != nil {
		return nil, err
	}
	resp, err := c.client.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := c.step("answer to " + r.Method); err != nil {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// start is a process that begins with what it finds on the disk.
func (c *cards) start(file string) {
	c.kill, c.steps, c.client = 0, 0, c.server.Client(c.t).Transport
	var err error
	if c.ledger, _, err = ledger.Open(file); err != nil {
		c.t.Fatal(err)
	}
	c.ledger.Before = func() error { return c.step("commit") }
	if c.src, err = dav.New(dav.Options{URL: c.server.URL + "/", Client: c}); err != nil {
		c.t.Fatal(err)
	}
}

// restart is a process after one that was killed: it finds the ledger as that
// one left it, with its journal, and nothing was closed in order.
func (c *cards) restart() {
	next := c.file + "-after"
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(c.file + suffix)
		if err != nil {
			c.t.Fatal(err)
		}
		if err := os.WriteFile(next+suffix, data, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	c.ledger.Close()
	c.file = next
	c.start(next)
}

func member(id engine.MemberID, s engine.Source, t *testing.T) group.Member {
	m := group.Member{ID: id}
	found, err := s.Look(t.Context(), false)
	if i := slices.IndexFunc(found, func(c engine.Collection) bool { return c.Name == "cal" }); err != nil || i < 0 {
		m.Err = engine.Fail(engine.Offline, "look", string(id), "%w", err)
	} else {
		m.Identity, m.State, m.Meta = found[i].Identity, found[i].State, found[i].Meta
		m.Storage, m.Err = s.Open(found[i])
	}
	return m
}

func (c *cards) sync() (group.Result, error) {
	c.job++
	folders := vdir.New(vdir.Options{Path: c.root, Step: func(op, _ string) error { return c.step(op) }})
	members := []group.Member{member("work/cal", c.src, c.t), member("local/cal", folders, c.t)}
	return group.Sync(c.t.Context(), c.ledger.Set(key), members, group.Rules{Policy: "merge", HoldItems: 10, HoldPercent: 20}, group.Options{Job: c.job}, nobody{})
}

func (c *cards) path(uid string) string { return filepath.Join(c.root, "cal", uid+".ics") }

func (c *cards) save(uid string, text []byte) {
	if err := os.WriteFile(c.path(uid), text, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// mixed is thirty items in step, and then a bit of everything on both sides.
func (c *cards) mixed() (want map[string]props) {
	want = map[string]props{}
	for i := range 30 {
		v := props{i + 1, i + 1, i + 1}
		uid := fmt.Sprintf("i%02d", i)
		want[uid] = v
		c.remote.Put(engine.Ref(uid+".ics"), write(uid, v))
	}
	if res, err := c.sync(); err != nil || res.Set.Added != 30 {
		c.t.Fatalf("the first sync: %+v, %v", res, err)
	}
	for i := range 3 {
		here, there, both := fmt.Sprintf("i%02d", i), fmt.Sprintf("i%02d", 10+i), fmt.Sprintf("i%02d", 20+i)
		n := 100 * (i + 1)
		want[here], want[there], want[both] = props{n, i + 1, i + 1}, props{i + 11, n, i + 11}, props{n, n, i + 21}
		c.save(here, write(here, want[here]))
		change(c.remote, there, 1, n)
		c.save(both, write(both, props{n, i + 21, i + 21}))
		change(c.remote, both, 1, n)
		here, there = fmt.Sprintf("i%02d", 5+i), fmt.Sprintf("i%02d", 15+i)
		delete(want, here)
		delete(want, there)
		os.Remove(c.path(here))
		remove(c.remote, there)
		here, there = fmt.Sprint("l", i), fmt.Sprint("r", i)
		want[here], want[there] = props{n, n, n}, props{n + 1, n + 1, n + 1}
		c.save(here, write(here, want[here]))
		c.remote.Put(engine.Ref(there+".ics"), write(there, want[there]))
	}
	return want
}

// files reads the folder; what is no whole item in it is odd.
func (c *cards) files() (texts []string, odd []string) {
	entries, err := os.ReadDir(filepath.Join(c.root, "cal"))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(c.root, "cal", e.Name()))
		if err != nil {
			c.t.Fatal(err)
		}
		if texts = append(texts, string(text)); !strings.HasSuffix(e.Name(), ".ics") || !strings.HasSuffix(string(text), "END:VCALENDAR\r\n") {
			odd = append(odd, e.Name())
		}
	}
	return texts, odd
}

// unlike says what is not as it must be in the end.
func (c *cards) unlike(want map[string]props) string {
	files, odd := c.files()
	if len(odd) > 0 {
		return fmt.Sprintf("odd files %v", odd)
	}
	for name, texts := range map[string][]string{"the folder": files, "the server": slices.Collect(maps.Values(c.remote.Texts()))} {
		got := map[string]props{}
		for _, text := range texts {
			uid, v := read([]byte(text))
			got[uid] = v
		}
		if len(got) != len(texts) || !maps.Equal(got, want) {
			return fmt.Sprintf("%s has %d items: %v, want %v", name, len(texts), got, want)
		}
	}
	conflicts, err1 := c.ledger.Set(key).Conflicts()
	problems, err2 := c.ledger.Set(key).Problems()
	if err1 != nil || err2 != nil || len(conflicts)+len(problems) > 0 {
		return fmt.Sprintf("conflicts %+v %v, problems %+v %v", conflicts, err1, problems, err2)
	}
	return ""
}

// everyStep kills a process at each step that a sync has.
func everyStep(t *testing.T, nth int, killedAt func(t *testing.T, kill int) bool) {
	const workers = 4
	var mu sync.Mutex
	next, most := 1, 1<<30
	for w := range workers {
		t.Run(fmt.Sprint("worker ", w), func(t *testing.T) {
			t.Parallel()
			for {
				mu.Lock()
				kill, over := next, next > most
				next += nth
				mu.Unlock()
				if over {
					return
				}
				if !killedAt(t, kill) {
					mu.Lock()
					most = min(most, kill)
					mu.Unlock()
				}
			}
		})
	}
	t.Cleanup(func() { t.Logf("%d steps", most-1) })
}

// I5: the process is killed at each of the steps of a mixed sync of 30 items;
// the next ones find the world as it was left, and bring it into step.
func TestKilledAtAnyStepNothingIsLostOrTwice(t *testing.T) {
	everyStep(t, everyNth, killedAt)
}

// killed makes a mixed sync that is killed at a step, if it has such a step.
func killed(t *testing.T, kill int) (c *cards, want map[string]props, met bool) {
	c = newCards(t, kill%2 == 0)
	want = c.mixed()
	c.kill, c.steps = kill, 0
	c.sync()
	return c, want, c.steps >= kill
}

func killedAt(t *testing.T, kill int) bool {
	c, want, met := killed(t, kill)
	at := c.last
	c.restart()
	var last group.Result
	for range 3 {
		var err error
		if last, err = c.sync(); err != nil {
			t.Errorf("killed at step %d, after %s: %v", kill, at, err)
		}
	}
	if wrong := c.unlike(want); wrong != "" {
		t.Errorf("killed at step %d, after %s: %s", kill, at, wrong)
	}
	if n := last.Set.Added + last.Set.Modified + last.Set.Removed; n > 0 {
		t.Errorf("killed at step %d, after %s: the third run still writes %d items", kill, at, n)
	}
	return met
}
