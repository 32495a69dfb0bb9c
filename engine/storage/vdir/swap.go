package vdir

import (
	"bytes"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"golang.org/x/sys/unix"
)

// commit brings one change into its place.
func (b *batch) commit(c *change) {
	switch c.Verb {
	case engine.Create:
		c.out.Err = b.create(c)
	case engine.Replace:
		c.out.Err = b.replace(c)
	case engine.Delete:
		c.out.Err = b.delete(c)
	}
}

// create gives the new file the first name that nothing bears. That another
// spelling bears it on a file system that does not tell capitals is found too.
func (b *batch) create(c *change) error {
	for name := range candidates(b.f.kind, c.Write) {
		b.f.source.own.expect(b.f.path() + "/" + name)
		err := b.d.place(c.temp, name)
		if err == unix.EEXIST || err == unix.ENAMETOOLONG {
			b.f.source.own.unwritten(b.f.path() + "/" + name)
			continue
		}
		c.name = name
		if err != nil {
			return b.drop(c, b.f.writeFail("create", b.f.on(b.label(c)), err))
		}
		return nil
	}
	panic("unreachable: there are names without end")
}

// replace exchanges the new file with the old one, and looks at what it got:
// between the look before and the exchange somebody may have saved.
func (b *batch) replace(c *change) error {
	b.f.source.own.expect(b.f.path() + "/" + c.name)
	held := displacedName(b.id, c)
	if err := b.d.place(c.temp, held); err != nil {
		return b.drop(c, b.f.writeFail("replace", b.f.on(c.Old.Ref), err))
	}
	c.temp = held
	err := b.d.exchange(c.temp, c.name)
	switch {
	case unsupported(err):
		return b.replaceByLink(c)
	case err == unix.ENOENT:
		return b.drop(c, b.changed(c))
	case err != nil:
		return b.drop(c, b.f.writeFail("replace", b.f.on(c.Old.Ref), err))
	}
	text, ok := b.expected(c, c.temp)
	if ok {
		b.d.remove(c.temp) // what stays is found by the next run
		return nil
	}
	return b.putBack(c, text)
}

// expected reads a file that lies out of everybody's reach and reports whether
// it is the version that the change is for, with nobody writing to it.
func (b *batch) expected(c *change, name string) ([]byte, bool) {
	fd, st, err := b.d.open(name)
	if err != nil {
		return nil, false
	}
	defer unix.Close(fd)
	busy := written(fd)
	text, err := readAll(fd, st.size)
	if err != nil {
		return nil, false
	}
	if c.Was == (engine.Sum{}) { // the caller knows only the etag
		return text, !busy && st.sameFile(c.before)
	}
	return text, !busy && item.Sum(text) == c.Was
}

// putBack undoes an exchange. text is what somebody saved.
func (b *batch) putBack(c *change, text []byte) error {
	c.out.Displaced = text
	err := b.d.exchange(c.temp, c.name)
	if err == unix.ENOENT { // somebody removed our version: then theirs is put there
		if err = b.d.place(c.temp, c.name); err == nil {
			return b.changed(c)
		}
	}
	if err != nil {
		b.f.setAside(b.d, c.temp)
		return b.changed(c)
	}
	if again, _, err := b.d.read(c.temp); err == nil && bytes.Equal(again, c.Text) {
		b.d.remove(c.temp)
	} else {
		b.f.setAside(b.d, c.temp) // somebody was quick enough to edit our version
	}
	return b.changed(c)
}

// replaceByLink does without exchange: a second name holds the old version while
// the new one is renamed over it.
func (b *batch) replaceByLink(c *change) error {
	held := linkName(b.id, c)
	err := b.d.link(c.name, held)
	switch {
	case unsupported(err):
		return b.replaceByCheck(c)
	case err == unix.ENOENT:
		return b.drop(c, b.changed(c))
	case err != nil:
		return b.drop(c, b.f.writeFail("replace", b.f.on(c.Old.Ref), err))
	}
	_, ok := b.expected(c, held)
	was, err1 := b.d.stat(held)
	now, err2 := b.d.stat(c.name)
	if !ok || err1 != nil || err2 != nil || was.ino != now.ino {
		b.d.remove(held)
		return b.drop(c, b.changed(c))
	}
	if err := b.d.over(c.temp, c.name); err != nil {
		b.d.remove(held)
		return b.drop(c, b.f.writeFail("replace", b.f.on(c.Old.Ref), err))
	}
	if text, ok := b.expected(c, held); !ok {
		c.out.Displaced = text
		if b.d.over(held, c.name) != nil {
			b.f.setAside(b.d, held)
		}
		return b.changed(c)
	}
	b.d.remove(held)
	return nil
}

// replaceByCheck does without links too: see the limits of this package.
func (b *batch) replaceByCheck(c *change) error {
	if _, ok := b.expected(c, c.name); !ok {
		return b.drop(c, b.changed(c))
	}
	if err := b.d.over(c.temp, c.name); err != nil {
		return b.drop(c, b.f.writeFail("replace", b.f.on(c.Old.Ref), err))
	}
	return nil
}

// delete moves the file out of everybody's reach, and looks at what it got.
func (b *batch) delete(c *change) error {
	b.f.source.own.expect(b.f.path() + "/" + c.name)
	c.temp = displacedName(b.id, c)
	if err := b.d.over(c.name, c.temp); err == unix.ENOENT {
		return b.changed(c)
	} else if err != nil {
		return b.f.writeFail("delete", b.f.on(c.Old.Ref), err)
	}
	text, ok := b.expected(c, c.temp)
	if ok {
		b.d.remove(c.temp)
		return nil
	}
	c.out.Displaced = text
	if b.d.place(c.temp, c.name) != nil {
		b.f.setAside(b.d, c.temp)
	}
	return b.changed(c)
}

// drop removes what was staged for a change that failed.
func (b *batch) drop(c *change, err error) error {
	b.d.remove(c.temp)
	b.f.source.own.unwritten(b.f.path() + "/" + c.name)
	return err
}
