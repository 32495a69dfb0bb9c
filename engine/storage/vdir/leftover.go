package vdir

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"golang.org/x/sys/unix"
)

// Names of our temporary files. A staged file holds a text of ours, whole or
// not, and nothing else. A displaced file holds what was in a folder before, and
// its name tells what that should be:
//
//	.davbus-ID-N.new.tmp
//	.davbus-ID-N-WAS-NEW-WHERE.old.tmp
//
// WAS and NEW begin the sums of the expected and of the new text (0 of a deletion),
// WHERE the hash of the file's name. So one who finds the file after a crash knows
// what to do without any other record: a text that is WAS or NEW is known
// elsewhere and goes, unless nothing took its place; any other was saved by
// somebody between our exchange and our look at it, and is put back where the
// next run finds it as the edit that it is.
const (
	ours         = ".davbus-"
	stagedEnd    = ".new.tmp"
	displacedEnd = ".old.tmp"
)

// orphaned is how old a temporary file must be to be left over, where a folder
// cannot be locked.
const orphaned = time.Minute

func displacedName(id uint64, c *change) string {
	return fmt.Sprintf("%s%016x-%d-%x-%x-%s%s", ours, id, c.index, c.Was[:8], c.sum[:8], where(c.name), displacedEnd)
}

func where(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:8])
}

// A leftover is what the name of a displaced file tells.
type leftover struct{ was, new, where string }

func readLeftover(name string) (leftover, bool) {
	name, ok1 := strings.CutPrefix(name, ours)
	name, ok2 := strings.CutSuffix(name, displacedEnd)
	parts := strings.Split(name, "-")
	if !ok1 || !ok2 || len(parts) != 5 {
		return leftover{}, false
	}
	return leftover{parts[2], parts[3], parts[4]}, true
}

// recover sees to what a writer left behind that did not live to finish. While
// another writer is alive, or in a folder that is read-only, it does nothing.
func (f *Folder) recover(d *dir) error {
	if !d.writable() {
		return nil
	}
	held, known := d.lock()
	if !held {
		return nil
	}
	defer d.unlock()
	return f.recoverLocked(d, known)
}

// recoverLocked is recover by one who holds the lock. locked is false where
// there are no locks: then only old files are left over.
func (f *Folder) recoverLocked(d *dir, locked bool) error {
	names, err := d.names()
	if err != nil {
		return err
	}
	did := false
	for _, name := range names {
		if !strings.HasPrefix(name, ours) {
			continue
		}
		st, err := d.stat(name)
		if err != nil || !st.regular() || !locked && f.source.now().Sub(time.Unix(0, st.ctime)) < orphaned {
			continue
		}
		if strings.HasSuffix(name, stagedEnd) {
			err = d.remove(name)
		} else if l, ok := readLeftover(name); ok {
			err = f.restore(d, name, l, names)
		}
		if err != nil && err != unix.ENOENT {
			return err
		}
		did = true
	}
	if !did {
		return nil
	}
	return d.sync()
}

// restore decides what becomes of a displaced file.
func (f *Folder) restore(d *dir, name string, l leftover, names []string) error {
	text, _, err := d.read(name)
	if err == errMoving {
		return nil // its writer is not done: the next run looks again
	}
	if err != nil {
		return f.setAside(d, name)
	}
	target, there := "", []byte(nil)
	for _, other := range names {
		if where(other) == l.where {
			if there, _, err = d.read(other); err == nil {
				target = other
			}
		}
	}
	sum, deletion := shortSum(text), l.new == strings.Repeat("0", len(l.new))
	switch {
	case sum == l.new, sum == l.was && (deletion || target != ""), target != "" && bytes.Equal(there, text):
		return d.remove(name)
	case target != "" && shortSum(there) == l.new:
		return f.exchangeBack(d, name, target)
	}
	return f.setAside(d, name)
}

// exchangeBack puts a text back in the place of our version.
func (f *Folder) exchangeBack(d *dir, name, target string) error {
	err := d.exchange(name, target)
	if unsupported(err) {
		return d.over(name, target)
	}
	if err != nil {
		return err
	}
	return d.remove(name)
}

func shortSum(text []byte) string {
	sum := item.Sum(text)
	return hex.EncodeToString(sum[:8])
}

// setAside gives a text that somebody saved a name of its own, where its place
// is taken. Two files of one UID are then a problem that people are told of.
func (f *Folder) setAside(d *dir, name string) error {
	w := engine.Write{UID: engine.UID(name)}
	if text, _, err := d.read(name); err == nil {
		w = engine.Write{UID: item.Read(text).UID, Text: text}
	}
	for free := range candidates(f.kind, w) {
		if err := d.place(name, free); err != unix.EEXIST && err != unix.ENAMETOOLONG {
			return err
		}
	}
	panic("unreachable: there are names without end")
}
