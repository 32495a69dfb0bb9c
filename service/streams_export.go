package service

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/keeper"
	"davbus.org/davbus/transports/stream"
)

// An exporting is all items of a collection, or what changed since a revision, in
// the order of their names. It is gathered once, when somebody comes for it, so
// that its size and hash are known before the first byte and whoever comes again
// finds the same.
type exporting struct {
	keeper  *keeper.Keeper
	request dbusapi.StreamRequest
	opened  *keeper.Opened
	dir     string // of the file that it is gathered in, which has no name
	know    func(dbusapi.StreamFacts)

	turn chan struct{} // holds a token while nobody gathers
	file *os.File      // nil before
	size int64
	hash string
}

func (h *host) openExport(ctx context.Context, r dbusapi.StreamRequest, know func(dbusapi.StreamFacts)) (cargo, error) {
	opened, err := h.Keeper.OpenLocal(ctx, r.Collection)
	if err != nil {
		return nil, err
	}
	e := &exporting{keeper: h.Keeper, request: r, opened: opened, dir: h.program.dirs.state, know: know, turn: make(chan struct{}, 1)}
	e.turn <- struct{}{}
	if _, _, _, err := h.Keeper.ChangedSince(r.Collection, opened, r.Since); r.Delta && err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *exporting) close() {
	if e.file != nil {
		e.file.Close()
	}
	e.opened.Close()
}

func (e *exporting) carry(ctx context.Context, c *stream.Conn, offset uint64) error {
	if err := e.gather(ctx); err != nil {
		return err
	}
	if offset > uint64(e.size) {
		return engine.Fail(engine.Invalid, "export", string(e.request.Collection), "it has %d bytes, and was to begin after %d", e.size, offset)
	}
	e.know(dbusapi.StreamFacts{Size: uint64(e.size), Hash: e.hash, Offset: offset})
	if _, err := io.Copy(c, io.NewSectionReader(e.file, int64(offset), e.size-int64(offset))); err != nil {
		return fmt.Errorf("%w: %w", stream.ErrMore, err)
	}
	return nil
}

// gather writes the content, once.
func (e *exporting) gather(ctx context.Context) error {
	select {
	case <-e.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { e.turn <- struct{}{} }()
	if e.file != nil {
		return nil
	}
	f, err := os.CreateTemp(e.dir, ".export-*")
	if err != nil {
		return engine.Fail(engine.StorageError, "export", string(e.request.Collection), "%w", err)
	}
	if err := os.Remove(filepath.Clean(f.Name())); err != nil {
		f.Close()
		return engine.Fail(engine.StorageError, "export", string(e.request.Collection), "%w", err)
	}
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(f, sum), 64<<10)
	if err = e.write(ctx, out); err == nil {
		err = out.Flush()
	}
	if err == nil {
		e.size, err = f.Seek(0, io.SeekCurrent)
	}
	if err != nil {
		f.Close()
		return err
	}
	e.file, e.hash = f, hex.EncodeToString(sum.Sum(nil))
	return nil
}

// write writes what the request asks for.
func (e *exporting) write(ctx context.Context, out io.Writer) error {
	storage, err := e.opened.Source.Open(e.opened.Collection)
	if err != nil {
		return err
	}
	var refs []engine.Ref
	for head, err := range storage.List(ctx) {
		if err != nil {
			return err
		}
		refs = append(refs, head.Ref)
	}
	slices.Sort(refs)
	if !e.request.Delta {
		return e.items(ctx, out, storage, refs)
	}
	names, now, full, err := e.keeper.ChangedSince(e.request.Collection, e.opened, e.request.Since)
	if err != nil {
		return err
	}
	var gone []string
	if !full {
		slices.Sort(names)
		for _, name := range names {
			if _, there := slices.BinarySearch(refs, engine.Ref(name)); !there {
				gone = append(gone, name)
			}
		}
		refs = slices.DeleteFunc(refs, func(r engine.Ref) bool { _, changed := slices.BinarySearch(names, string(r)); return !changed })
	}
	if err := e.items(ctx, out, storage, refs); err != nil {
		return err
	}
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, name := range gone {
		if err := lines.Encode(group.Line{Item: name, Deleted: true}); err != nil {
			return err
		}
	}
	return lines.Encode(map[string]any{"revision": now, "full": full})
}

// items writes items, a few at a time.
func (e *exporting) items(ctx context.Context, out io.Writer, storage engine.Storage, refs []engine.Ref) error {
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for some := range slices.Chunk(refs, 64) {
		for item, err := range storage.Fetch(ctx, some) {
			switch {
			case err != nil:
				return err
			case e.request.Lines:
				err = lines.Encode(group.LineOf(item))
			default:
				_, err = out.Write(item.Text)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
