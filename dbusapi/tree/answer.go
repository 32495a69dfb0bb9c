package tree

import (
	"os"
	"strings"

	"github.com/godbus/dbus/v5"
)

// answer sends the reply of a call, unless its caller wants none.
func (c *call) answer(rets []any, files []*os.File, err error) {
	if c.local != nil {
		c.answerLocal(rets, files, err)
		return
	}
	if err == nil && c.msg.WantsReply() {
		if frame := c.encode(rets, len(files)); frame != nil {
			c.conn.Write(frame, files, c.sent)
			return
		}
		err = errTooLong
	}
	for _, f := range files {
		f.Close()
	}
	if err != nil && c.msg.WantsReply() {
		if frame := c.encodeError(err); frame != nil {
			c.conn.Write(frame, nil, c.sent)
			return
		}
	}
	c.sent(nil)
}

var errTooLong = dbus.NewError("org.freedesktop.DBus.Error.LimitsExceeded", []any{"the answer is too long for the bus, or cannot be put into a message"})

func (c *call) sent(error) {
	for _, f := range c.after {
		f()
	}
}

func (c *call) encode(rets []any, files int) []byte {
	for i, v := range rets {
		rets[i] = Clean(v)
	}
	return c.encodeClean(rets, files)
}

// encodeClean is encode for values that are fit for the bus already: to look at
// a whole tree once more would take a third of the time of its answer.
func (c *call) encodeClean(rets []any, files int) []byte {
	if len(rets) == 1 {
		if all, isTree := rets[0].(treeOf); isTree {
			if body, ok := writeTree(all); ok {
				return c.treeFrame(body)
			}
		}
	}
	frame, err := c.conn.Encode(c.msg.Answer(dbus.TypeMethodReply, "", rets...), files)
	if err != nil {
		return nil
	}
	return frame
}

func (c *call) treeFrame(body []byte) []byte {
	frame, err := c.conn.EncodeWith(c.msg.Answer(dbus.TypeMethodReply, ""), dbus.ParseSignatureMust(treeSignature), body)
	if err != nil {
		return nil
	}
	return frame
}

func (c *call) encodeError(err error) []byte {
	e := c.tree.busError(err)
	body := make([]any, len(e.Body))
	for i, v := range e.Body {
		body[i] = Clean(v)
	}
	frame, err := c.conn.Encode(c.msg.Answer(dbus.TypeError, e.Name, body...), 0)
	if err == nil {
		return frame
	}
	text := CleanText(e.Error())
	frame, err = c.conn.Encode(c.msg.Answer(dbus.TypeError, "org.freedesktop.DBus.Error.Failed", text[:min(len(text), 1000)]), 0)
	if err != nil {
		return nil
	}
	return frame
}

// busError gives an error the form that the bus knows.
func (t *Tree) busError(err error) *dbus.Error {
	switch e := err.(type) {
	case *dbus.Error:
		return e
	case dbus.Error:
		return &e
	}
	if t.Errors != nil {
		if e := t.Errors(err); e != nil {
			return e
		}
	}
	return dbus.NewError("org.freedesktop.DBus.Error.Failed", []any{strings.TrimSpace(err.Error())})
}
