package vdir

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/storagetest"
	"golang.org/x/sys/unix"
)

// insensitive is a file system that takes a name for one in other capitals.
func insensitive(r *rig) func(op, name string) error {
	return func(op, name string) error {
		if op != "place" && op != "link" {
			return nil
		}
		entries, err := os.ReadDir(r.path)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if strings.EqualFold(e.Name(), name) {
				return unix.EEXIST
			}
		}
		return nil
	}
}

// lacking is a file system that does not know some operations.
func lacking(ops ...string) func(op, name string) error {
	return func(op, name string) error {
		if slices.Contains(ops, op) {
			return unix.EINVAL
		}
		return nil
	}
}

func TestPromisesHoldOnPoorFileSystems(t *testing.T) {
	t.Parallel()
	for name, ops := range map[string][]string{
		"no exchange":                 {"exchange"},
		"no exchange and no new name": {"exchange", "place"},
		"no hard links either":        {"exchange", "place", "link"},
	} {
		t.Run(name, func(t *testing.T) {
			storagetest.Run(t, func(tb testing.TB) engine.Storage {
				r := newRig(tb, engine.Calendar)
				r.f.step = lacking(ops...)
				return r.f
			})
		})
	}
}

// faults are what a file system may answer, and what is made of it.
var faults = map[error]engine.Kind{
	unix.ENOSPC: engine.QuotaExceeded, unix.EDQUOT: engine.QuotaExceeded, unix.EROFS: engine.ReadOnly,
	unix.EACCES: engine.ReadOnly, unix.EIO: engine.StorageError, unix.EMFILE: engine.StorageError,
}

// mixed is a folder with two items and a batch that creates, replaces and
// deletes; many makes the batch large enough to be made durable at once.
func mixed(t testing.TB, many bool) (*rig, []engine.Write) {
	r := newRig(t, engine.Calendar)
	r.apply(creation("edited", "old"), creation("dropped", "old"))
	writes := []engine.Write{
		creation("made", "new"),
		replacement(r.mustFetch("edited.ics"), event("edited", "new")),
		deletion(r.mustFetch("dropped.ics")),
	}
	if many {
		for i := range fewItems {
			writes = append(writes, creation(fmt.Sprint("more-", i), "new"))
		}
	}
	return r, writes
}

// steps are the steps of carrying out the mixed batch.
func steps(t testing.TB, many bool) []string {
	var all []string
	r, writes := mixed(t, many)
	r.f.step = func(op, name string) error { all = append(all, op); return nil }
	r.apply(writes...)
	return all
}

// whole demands that every visible item is one of the texts that were ever
// meant, and gives what is there.
func (r *rig) whole() map[string]string {
	r.Helper()
	texts := map[string]string{}
	for _, name := range r.names() {
		if itemKind(name) == "" {
			continue
		}
		uid := strings.TrimSuffix(name, ".ics")
		text := r.text(name)
		switch text {
		case string(event(uid, "old")):
			texts[uid] = "old"
		case string(event(uid, "new")):
			texts[uid] = "new"
		default:
			texts[uid] = "odd"
			r.Errorf("%s is %q", name, text)
		}
	}
	return texts
}

func TestAnErrorAtAnyStepLosesNothingAndIsTold(t *testing.T) {
	t.Parallel()
	for _, many := range []bool{false, true} {
		for i, op := range steps(t, many) {
			for fault, kind := range faults {
				if many && fault != unix.ENOSPC {
					continue // every fault at every step of the small batch is enough
				}
				r, writes := mixed(t, many)
				n := 0
				r.f.step = func(op, name string) error {
					if n++; n == i+1 {
						if op == "write" { // the disk fills up in the middle of the file
							r.halfWrite(string(event("made", "new"))[:40])
						}
						return fault
					}
					return nil
				}
				var failed []error
				succeeded := map[int]bool{}
				for i, out := range r.f.Apply(t.Context(), writes) {
					if out.Err != nil {
						failed = append(failed, out.Err)
					} else {
						succeeded[i] = true
					}
				}
				for _, err := range failed {
					wantKind(t, err, kind)
				}
				if len(failed) == 0 && op != "remove" && op != "open" { // these may fail unseen
					t.Errorf("%s (step %d): %v was not told", op, i, fault)
				}
				r.f.step = anyStep
				r.checkMixed(fmt.Sprintf("%s (step %d) failed with %v", op, i, fault), succeeded)
			}
		}
	}
}

// halfWrite leaves half a text in the staged file, as a full disk does.
func (r *rig) halfWrite(text string) {
	staged, _ := filepath.Glob(filepath.Join(r.path, ".davbus-*.new.tmp"))
	for _, name := range staged {
		if st, err := os.Stat(name); err == nil && st.Size() == 0 {
			os.WriteFile(name, []byte(text), 0o600)
		}
	}
}

// checkMixed demands that what is told to be done is done, that everything else
// is old or new, and that a new process finds nothing to mend.
func (r *rig) checkMixed(when string, succeeded map[int]bool) {
	r.Helper()
	for round := range 2 {
		got := r.whole()
		_, dropped := got["dropped"]
		switch {
		case succeeded[0] && got["made"] != "new", got["made"] == "old":
			r.Errorf("%s: round %d: made is %q", when, round, got["made"])
		case succeeded[1] && got["edited"] != "new", got["edited"] == "":
			r.Errorf("%s: round %d: edited is %q", when, round, got["edited"])
		case succeeded[2] && dropped:
			r.Errorf("%s: round %d: dropped is still there", when, round)
		}
		r.open(engine.Calendar)
		r.list()
	}
	r.wantNoTemps()
}

func TestScenario60WhatTheDiskHadNoRoomForIsTakenAwayAtOnce(t *testing.T) {
	r, _ := mixed(t, false)
	r.f.step = func(op, name string) error {
		if op == "write" {
			r.halfWrite(string(event("made", "new"))[:40])
			return unix.ENOSPC
		}
		return nil
	}
	wantKind(t, r.apply(creation("made", "new"))[0].Err, engine.QuotaExceeded)
	r.wantNoTemps()
}

func TestPowerCutAtAnyStepLeavesOnlyWholeTexts(t *testing.T) {
	t.Parallel()
	for _, many := range []bool{false, true} {
		all := steps(t, many)
		for i, op := range all {
			r, writes := mixed(t, many)
			n, cut := 0, "power cut"
			r.f.step = func(op, name string) error {
				if n++; n == i+1 {
					if op == "write" {
						r.halfWrite("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEG")
					}
					panic(cut)
				}
				return nil
			}
			func() {
				defer func() {
					if got := recover(); got != cut {
						t.Fatalf("step %d did not come: %v", i, got)
					}
				}()
				r.apply(writes...)
			}()
			r.f.step = anyStep
			r.checkMixed(fmt.Sprintf("cut before %s (step %d)", op, i), nil)
			old := r.whole()
			if _, there := old["dropped"]; !there && i <= slices.Index(all, "over") {
				t.Errorf("cut at step %d: dropped is gone before it was deleted", i)
			}
		}
	}
}

func TestAFailedFolderSyncTellsNoOutcome(t *testing.T) {
	r, writes := mixed(t, false)
	r.f.step = func(op, name string) error {
		if op == "sync folder" {
			return unix.EIO
		}
		return nil
	}
	var got []int
	for i, out := range r.f.Apply(t.Context(), writes) {
		wantKind(t, out.Err, engine.StorageError)
		got = append(got, i)
	}
	if !slices.Equal(got, []int{-1}) {
		t.Errorf("outcomes of %v, want only that of the whole", got)
	}
}

func TestEverythingIsDurableBeforeItIsTold(t *testing.T) {
	for _, many := range []bool{false, true} {
		all := steps(t, many)
		data, names := slices.Index(all, "sync all"), slices.Index(all, "sync folder")
		if !many || data < 0 {
			data = len(all) - 1 - slices.Index(reversed(all), "sync")
		}
		place := slices.IndexFunc(all, func(op string) bool { return op == "place" || op == "exchange" || op == "over" })
		last := len(all) - 1 - slices.IndexFunc(reversed(all), func(op string) bool { return op == "place" || op == "exchange" || op == "over" })
		if data < 0 || place < data || names < last {
			t.Errorf("many %v: %v", many, all)
		}
	}
}

func reversed(s []string) []string {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}
