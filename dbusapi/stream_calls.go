package dbusapi

import (
	"os"
	"strings"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

// collectionStream answers Export, Import and Serve of a collection.
func (f *Face) collectionStream(c tree.Call, kind string, id engine.MemberID, in dict) (dbus.ObjectPath, error) {
	o := readOptions(kind+" "+name(string(id)), in)
	r := StreamRequest{Kind: kind, Collection: id, Size: UnknownSize}
	switch kind {
	case "export":
		r.Lines = o.choice("format", "concatenated", "json-lines") == "json-lines"
		r.Since, r.Delta = o.string("since-revision", ""), o.has("since-revision")
		if r.Delta && !r.Lines {
			o.fail("with \"since-revision\" the format must be json-lines: the other one cannot tell of deletions")
		}
	case "import":
		r.Replace, r.DryRun, r.SHA256 = o.bool("replace", false), o.bool("dry-run", false), strings.ToLower(o.string("sha256", ""))
		r.Size = o.uint64("size", UnknownSize)
		if n := o.uint("confirm-deletions", 0); o.has("confirm-deletions") {
			r.Confirm = &n
		}
		if len(r.SHA256) != 0 && len(r.SHA256) != 64 || strings.Trim(r.SHA256, "0123456789abcdef") != "" {
			o.fail("option \"sha256\" must be 64 hexadecimal digits")
		}
	default:
		r.ReadOnly = o.bool("read-only", false)
	}
	return f.streamOf(c, collectionPath(id), o, r)
}

// openProxy answers OpenProxy of an account.
func (f *Face) openProxy(c tree.Call, id engine.AccountID, in dict) (dbus.ObjectPath, error) {
	o := readOptions("open a proxy to "+name(string(id)), in)
	r := StreamRequest{Kind: "proxy", Account: id, ReadOnly: o.bool("read-only", true), PathPrefix: o.string("path-prefix", "")}
	return f.streamOf(c, accountPath(id), o, r)
}

// streamOf makes a stream that its options have been read for, but for "keep".
func (f *Face) streamOf(c tree.Call, about dbus.ObjectPath, o *options, r StreamRequest) (dbus.ObjectPath, error) {
	keep := o.bool("keep", false)
	if err := o.end(); err != nil {
		return "/", err
	}
	s, err := f.openStream(c, about, keep, r)
	if err != nil {
		return "/", err
	}
	return s.path, nil
}

// shellStream is the same for shells: the path of a socket.
func (f *Face) shellStream(c tree.Call, kind, what string) (string, error) {
	if _, ok := f.host.(Streamer); !ok {
		return "", notInThisBuild("streams")
	}
	target, err := f.host.Lookup(unname(what))
	if err != nil {
		return "", err
	}
	r := StreamRequest{Kind: kind, Collection: target.Collection, Account: target.Account, Size: UnknownSize}
	about := collectionPath(target.Collection)
	switch {
	case kind == "proxy" && target.Account == "":
		return "", invalid(kind, "%q is no account", what)
	case kind == "proxy":
		r.ReadOnly, about = true, accountPath(target.Account)
	case target.Collection == "":
		return "", invalid(kind, "%q is no collection; it is written ACCOUNT/COLLECTION", what)
	}
	s, err := f.openStream(c, about, true, r)
	if err != nil {
		return "", err
	}
	address, _, err := s.listenAt(StreamDoor{})
	if err != nil {
		s.end()
	}
	return address, err
}

// mayUse lets the owner in, and everybody who may call at all where there is
// none.
func (s *stream) mayUse(c tree.Call, op string) error {
	if s.owner == "" || s.owner == c.Sender() {
		return nil
	}
	return engine.Fail(engine.Denied, op, string(s.path), "the stream belongs to the caller that made it; made with \"keep\" it is for all callers of this user")
}

func (s *stream) listen(c tree.Call, addressType, access string, in dict) (string, string, error) {
	o := readOptions("listen", in)
	d := StreamDoor{Address: addressType, Access: access, Offset: o.uint64("offset", 0), Max: o.uint("max-connections", 0)}
	port := o.uint("source-port", 0)
	if port > 65535 || o.has("source-port") && port == 0 {
		o.fail("option \"source-port\" is from 1 to 65535, not %d", port)
	}
	if d.Max > maxConnections || o.has("max-connections") && d.Max == 0 {
		o.fail("option \"max-connections\" is from 1 to %d, not %d", maxConnections, d.Max)
	}
	d.SourcePort = uint16(port)
	err := o.end()
	if err == nil {
		err = s.mayUse(c, "listen at")
	}
	if err != nil {
		return "", "", err
	}
	return s.listenAt(d)
}

// maxConnections is the most that a caller may allow one stream.
const maxConnections = 256

func (s *stream) listenAt(d StreamDoor) (string, string, error) {
	address, cookie, access, err := s.work.Listen(d)
	if err != nil {
		return "", "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone {
		values := props{"Address": name(address), "AccessControl": access}
		if (*s.object.props.Load())["State"] == "new" {
			values["State"] = "listening"
		}
		s.change(values)
	}
	return name(address), cookie, nil
}

func (s *stream) openFd(c tree.Call, in dict) (*os.File, error) {
	o := readOptions("open a stream", in)
	offset := o.uint64("offset", 0)
	err := o.end()
	if err == nil {
		err = s.mayUse(c, "open")
	}
	if err != nil {
		return nil, err
	}
	file, err := s.work.OpenFD(offset)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.gone {
			s.change(props{"AccessControl": "fd"})
		}
	}
	return file, err
}

func (s *stream) closeCall(c tree.Call, in dict) error {
	err := noOptions("close a stream", in)
	if err == nil {
		err = s.mayUse(c, "close")
	}
	if err != nil {
		return err
	}
	s.end()
	select {
	case <-s.ended:
	case <-c.Context().Done(): // the caller is gone
	}
	return nil
}
