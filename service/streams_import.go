package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/keeper"
	"davbus.org/davbus/transports/stream"
)

// maxImport is how large an import may be: it is held in memory until it is
// whole.
const maxImport = 64 << 20

// mostImports is how many there may be at once.
const mostImports = 8

// An importing gathers what a client writes, and makes one job of it once it is
// whole. If its size was told, a client that was cut off may come again and go on
// where it was; else the end of its side is the end.
type importing struct {
	host    *host
	request dbusapi.StreamRequest
	target  engine.MemberID // the local collection
	know    func(dbusapi.StreamFacts)

	data bytes.Buffer // touched by the one connection
}

func (h *host) openImport(ctx context.Context, r dbusapi.StreamRequest, know func(dbusapi.StreamFacts)) (cargo, error) {
	if r.Size != dbusapi.UnknownSize && r.Size > maxImport {
		return nil, tooLarge(r.Collection)
	}
	opened, err := h.Keeper.OpenLocal(ctx, r.Collection)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	if !opened.Collection.Writable {
		return nil, engine.Fail(engine.ReadOnly, "import into", string(opened.ID), "it is not to be written")
	}
	if h.program.imports.Add(1) > mostImports {
		h.program.imports.Add(-1)
		return nil, engine.Fail(engine.LimitExceeded, "import into", string(opened.ID), "%d imports are open already; finish or close one", mostImports)
	}
	return &importing{host: h, request: r, target: opened.ID, know: know}, nil
}

func tooLarge(m engine.MemberID) error {
	return engine.Fail(engine.TooLarge, "import into", string(m), "an import has at most %d MiB; split it. Nothing was changed", maxImport>>20)
}

func (i *importing) close() { i.host.program.imports.Add(-1) }

func (i *importing) carry(ctx context.Context, c *stream.Conn, offset uint64) error {
	have := uint64(i.data.Len())
	if offset != 0 && offset != have {
		return engine.Fail(engine.Invalid, "import into", string(i.target), "%d bytes are here, and it was to go on after %d", have, offset)
	}
	i.know(dbusapi.StreamFacts{Size: i.request.Size, Hash: i.request.SHA256, Offset: have})
	if err := i.receive(c); err != nil {
		return err
	}
	job, err := i.host.Keeper.Import(i.target, keeper.ImportOrder{
		Data: i.data.Bytes(), Replace: i.request.Replace, DryRun: i.request.DryRun, Confirmed: i.request.Confirm, By: by(i.request.Caller),
	})
	i.data = bytes.Buffer{}
	if err != nil {
		i.answer(c, map[string]any{"result": engine.Failed, "error": err.Error()})
		return err
	}
	i.know(dbusapi.StreamFacts{Size: i.request.Size, Hash: i.request.SHA256, Offset: have, Job: job})
	state, err := i.host.ended(ctx, job)
	if err != nil {
		return err
	}
	i.answer(c, result(state))
	if state.Result == engine.Success || !state.Failure.Set {
		return nil
	}
	return engine.Fail(state.Failure.Kind, "import into", string(i.target), "%s", state.Failure.Message)
}

// receive reads until the content is whole.
func (i *importing) receive(c *stream.Conn) error {
	most := uint64(maxImport)
	if i.request.Size != dbusapi.UnknownSize {
		most = i.request.Size
	}
	_, err := io.Copy(&i.data, io.LimitReader(c, int64(most)+1-int64(i.data.Len())))
	have := uint64(i.data.Len())
	switch {
	case have > most && i.request.Size == dbusapi.UnknownSize:
		return tooLarge(i.target)
	case have > most:
		return engine.Fail(engine.Invalid, "import into", string(i.target), "more came than the %d bytes that were told; nothing was changed", most)
	case i.request.Size != dbusapi.UnknownSize && have < most:
		return fmt.Errorf("%w: %d of %d bytes came; nothing was changed", stream.ErrMore, have, most)
	case err != nil:
		return engine.Fail(engine.ConnectionLost, "import into", string(i.target), "%w; nothing was changed", err)
	}
	sum := sha256.Sum256(i.data.Bytes())
	if got := hex.EncodeToString(sum[:]); i.request.SHA256 != "" && got != i.request.SHA256 {
		return engine.Fail(engine.InvalidItem, "import into", string(i.target), "its SHA-256 is %s and not the one that was told; nothing was changed", got)
	}
	return nil
}

// answer tells a client that still reads what came of it, as one line of JSON.
func (i *importing) answer(c *stream.Conn, v any) {
	if line, err := json.Marshal(v); err == nil {
		_, _ = c.Write(append(line, '\n')) // who does not read has the job to look at
	}
}

func result(j *engine.JobState) map[string]any {
	r := j.Report
	out := map[string]any{
		"job": j.ID, "result": j.Result, "added": r.Added, "modified": r.Modified, "removed": r.Removed,
		"failed": r.Failed, "held": r.Held, "conflicts": r.Conflicts,
	}
	if j.Failure.Set {
		out["error"] = j.Failure.Message
	}
	if len(r.Lines) > 0 {
		out["lines"] = r.Lines
	}
	return out
}

// ended waits for the end of a job.
func (h *host) ended(ctx context.Context, id engine.JobID) (*engine.JobState, error) {
	snapshot, sub := h.Keeper.Watch()
	defer sub.Close()
	if j := snapshot.Jobs[id]; j != nil && j.State == engine.StateDone {
		return j, nil
	}
	for {
		n, err := sub.Next(ctx)
		if err != nil {
			return nil, errors.Join(err, context.Cause(ctx))
		}
		if e, ok := n.Event.(engine.JobChanged); ok && e.State.ID == id && e.State.State == engine.StateDone {
			return e.State, nil
		}
	}
}
