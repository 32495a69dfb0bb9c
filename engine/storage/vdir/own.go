package vdir

import (
	"errors"
	"io/fs"
	"path"
	"sync"
)

// ownWrites tells the echo of a write of ours from an edit. The kernel reports
// both alike.
type ownWrites struct {
	mu    sync.Mutex
	files map[string]ownWrite // by path
	moved map[string]bool     // folders with edits whose report may have been taken for an echo
	wake  chan struct{}       // of who watches; nil if nobody does
}

// An ownWrite is how we left a file.
type ownWrite struct {
	busy, gone bool
	seen       bool // something was reported while it was busy
	st         stamp
}

// mostOwn bounds the memory: beyond it an echo costs a run that finds nothing.
const mostOwn = 1 << 15

// expect is called before a file is written.
func (o *ownWrites) expect(file string) { o.set(file, ownWrite{busy: true}) }

// wrote and gone are called when a file is known to be as we left it.
func (o *ownWrites) wrote(file string, st stamp) { o.set(file, ownWrite{st: st}) }
func (o *ownWrites) gone(file string)            { o.set(file, ownWrite{gone: true}) }

// edited is called when a file is not as we left it.
func (o *ownWrites) edited(file string) { o.release(file, true) }

// unwritten is called when a file was not written after all.
func (o *ownWrites) unwritten(file string) { o.release(file, false) }

func (o *ownWrites) release(file string, moved bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	moved = moved || o.files[file].seen
	delete(o.files, file)
	if o.wake == nil || !moved {
		return
	}
	o.moved[path.Dir(file)] = true
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// made is called when a folder was made, and maybe the root: who watches looks
// for what is not watched yet, since a root that was not there makes no report.
func (o *ownWrites) made() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wake == nil {
		return
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *ownWrites) set(file string, w ownWrite) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wake == nil {
		return
	}
	if len(o.files) >= mostOwn {
		clear(o.files)
	}
	o.files[file] = w
}

// echo reports whether what is found at a path, a stamp or an error, is as we
// left it.
func (o *ownWrites) echo(file string, st stamp, err error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	w, ok := o.files[file]
	switch {
	case !ok:
		return false
	case w.busy:
		w.seen = true
		o.files[file] = w
		return true
	case w.gone:
		return errors.Is(err, fs.ErrNotExist)
	}
	return err == nil && st == w.st
}

// watch begins to remember; the function it gives ends that.
func (o *ownWrites) watch() (wake <-chan struct{}, end func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.files, o.moved, o.wake = map[string]ownWrite{}, map[string]bool{}, make(chan struct{}, 1)
	return o.wake, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.files, o.moved, o.wake = nil, nil, nil
	}
}

// takeMoved gives the folders with edits, once.
func (o *ownWrites) takeMoved() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []string
	for folder := range o.moved {
		all = append(all, folder)
	}
	clear(o.moved)
	return all
}
