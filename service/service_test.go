package service

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type sleepy struct {
	until, called time.Time
	awaited       bool
}

func (s sleepy) Idle() bool          { return !time.Now().Before(s.until) }
func (s sleepy) LastCall() time.Time { return s.called }
func (s sleepy) InFlight() int       { return 0 }
func (s sleepy) Awaited() bool       { return s.awaited }

func seconds(n time.Duration) func() time.Duration {
	return func() time.Duration { return n * time.Second }
}

func TestIdleExitComesAfterItsTimeWithoutAnythingToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		s := sleepy{until: start.Add(5 * time.Minute), called: start.Add(7 * time.Minute)}
		if !idle(ctx, s, s, seconds(600)) {
			t.Fatal("it never leaves")
		}
		if after := time.Since(start); after < 17*time.Minute || after > 19*time.Minute {
			t.Errorf("it leaves after %v; the last call was after 7 minutes", after)
		}
		if idle(ctx, s, s, seconds(0)) {
			t.Error("0 means never")
		}
		if idle(ctx, sleepy{until: start.Add(9 * time.Hour)}, s, seconds(600)) {
			t.Error("it is busy and leaves")
		}
		if idle(ctx, s, sleepy{awaited: true}, seconds(600)) {
			t.Error("an agent counts on it, and it leaves")
		}
	})
}

func TestPrivateFoldersAreMadePrivate(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{open, filepath.Join(dir, "new", "deep")} {
		if err := makePrivate(path); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if err := os.Symlink(open, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := makePrivate(filepath.Join(dir, "link")); err == nil {
		t.Error("a link is taken for a folder of ours")
	}
}

func TestTheRuntimeFolderIsOursEvenWithoutASession(t *testing.T) {
	state, run := t.TempDir(), t.TempDir()
	with, err := findDirs(func(name string) string {
		return map[string]string{"XDG_RUNTIME_DIR": run, "XDG_STATE_HOME": state}[name]
	})
	if err != nil || with.runtime != filepath.Join(run, "davbus") || with.session != run || with.madeRuntime {
		t.Errorf("%+v, %v", with, err)
	}
	for _, base := range []string{"", "relative"} {
		without, err := findDirs(func(name string) string {
			return map[string]string{"XDG_RUNTIME_DIR": base, "XDG_STATE_HOME": state}[name]
		})
		if err != nil || !without.madeRuntime || without.session != "" || without.runtime != filepath.Join(state, "davbus", "run") {
			t.Errorf("%q: %+v, %v", base, without, err)
		}
		if info, err := os.Stat(without.runtime); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", info, err)
		}
	}
}

func TestOneStateFolderHasOneWriterAndTheNextOneWaitsForOneThatLeaves(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(t.Context(), path); err == nil || !strings.Contains(err.Error(), "another davbusd uses this state folder") {
		t.Errorf("twice: %v", err)
	}
	first.leaving()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock(ctx, path); err == nil {
		t.Error("two have it")
	}
	next := make(chan error, 1)
	go func() {
		second, err := lock(context.Background(), path)
		if err == nil {
			if _, err := lock(context.Background(), path); err == nil {
				t.Error("the mark of the one before is there still")
			}
			second.unlock()
		}
		next <- err
	}()
	first.unlock()
	if err := <-next; err != nil {
		t.Error(err)
	}
}
