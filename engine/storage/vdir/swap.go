package vdir

import (
	"bytes"
	"errors"

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
	if c.out.Err != nil {
		b.f.source.own.unwritten(b.f.path() + "/" + c.name)
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
			if err == unix.EEXIST && b.twin(c, name) {
				return b.drop(c, engine.Fail(engine.Changed, "create", b.f.on(b.label(c)), "somebody made the file %s meanwhile", name))
			}
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

// twin reports whether a file that bears the name of a new one is somebody's own
// copy of the same item, made since the folder was listed, or about to become it.
func (b *batch) twin(c *change, name string) bool {
	if c.UID == "" {
		return false
	}
	text, _, err := b.d.read(name)
	return err == errMoving || err == nil && (!finished(text) || item.Read(text).UID == c.UID)
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
		return b.replaceByMove(c)
	case err == unix.ENOENT:
		return b.drop(c, b.changed(c))
	case err != nil:
		return b.drop(c, b.f.writeFail("replace", b.f.on(c.Old.Ref), err))
	}
	text, err := b.expected(c, c.temp)
	if err == nil {
		b.d.remove(c.temp) // what stays is found by the next run
		return nil
	}
	return b.putBack(c, text, err)
}

// errStale says that a file is not the version that a change is for.
var errStale = errors.New("somebody changed the file")

// expected reads a file that lies out of everybody's reach; nil says that it is
// the version that the change is for, and that nobody is writing to it.
func (b *batch) expected(c *change, name string) ([]byte, error) {
	fd, st, err := b.d.open(name)
	if err == errIrregular {
		return nil, errStale
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	busy := written(fd)
	text, err := readAll(fd, st.size)
	switch {
	case err != nil:
		return nil, err
	case busy, c.Was != (engine.Sum{}) && item.Sum(text) != c.Was:
		return text, errStale
	case c.Was == (engine.Sum{}) && !st.sameFile(c.before): // the caller knows only the etag
		return text, errStale
	}
	return text, nil
}

// putBack undoes an exchange that got what was not expected: text, or what could
// not be read.
func (b *batch) putBack(c *change, text []byte, why error) error {
	c.out.Displaced = text
	err := b.d.exchange(c.temp, c.name)
	if err == unix.ENOENT { // somebody removed our version: then theirs is put there
		if err = b.d.place(c.temp, c.name); err == nil {
			return b.refused(c, why)
		}
	}
	if err != nil {
		b.f.setAside(b.d, c.temp)
		return b.refused(c, why)
	}
	if again, _, err := b.d.read(c.temp); err == nil && bytes.Equal(again, c.Text) {
		b.d.remove(c.temp)
	} else {
		b.f.setAside(b.d, c.temp) // somebody was quick enough to edit our version
	}
	return b.refused(c, why)
}

// refused makes the outcome of a change whose file is not as expected, or could
// not be looked at.
func (b *batch) refused(c *change, why error) error {
	if why == errStale || why == unix.ENOENT {
		return b.changed(c)
	}
	return b.f.writeFail(c.Verb.String(), b.f.on(c.Old.Ref), why)
}

// replaceByMove does without exchange. For a moment nothing bears the name; after
// a crash in it the old version is put back by the next run.
func (b *batch) replaceByMove(c *change) error {
	text := c.temp
	c.temp = displacedName(^b.id, c)
	if err := b.moveAway(c); err != nil {
		b.d.remove(text)
		return err
	}
	err := b.d.place(text, c.name)
	switch {
	case err == unix.EEXIST: // somebody saved in that moment
		b.d.remove(c.temp)
		b.d.remove(text)
		return b.changed(c)
	case err != nil:
		b.d.place(c.temp, c.name)
		b.d.remove(text)
		return b.f.writeFail("replace", b.f.on(c.Old.Ref), err)
	}
	b.d.remove(c.temp)
	return nil
}

// delete moves the file away and removes it there.
func (b *batch) delete(c *change) error {
	b.f.source.own.expect(b.f.path() + "/" + c.name)
	c.temp = displacedName(b.id, c)
	if err := b.moveAway(c); err != nil {
		return err
	}
	b.d.remove(c.temp)
	return nil
}

// moveAway moves the old version out of everybody's reach, to c.temp, and looks
// at what it got. What is not expected is put back.
func (b *batch) moveAway(c *change) error {
	if err := b.d.over(c.name, c.temp); err != nil {
		return b.refused(c, err)
	}
	text, err := b.expected(c, c.temp)
	if err == nil {
		return nil
	}
	c.out.Displaced = text
	if b.d.place(c.temp, c.name) != nil {
		b.f.setAside(b.d, c.temp)
	}
	return b.refused(c, err)
}

// drop removes what was staged for a change that failed.
func (b *batch) drop(c *change, err error) error {
	b.d.remove(c.temp)
	return err
}
