package service

import (
	"cmp"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"

	"davbus.org/davbus/data"
	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/dbusapi/conn"
	tree_ "davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/keeper"
	"davbus.org/davbus/transports/stream"
)

// host is the program as the bus sees it: the keeper, and what only the whole
// program can do.
type host struct {
	*keeper.Keeper
	program *program
	bus     *conn.Conn
}

type tree = tree_.Tree

var _ dbusapi.Host = (*host)(nil)

func (p *program) host(bus *conn.Conn) *host { return &host{p.keeper, p, bus} }

// by names a caller for people.
func by(c dbusapi.Caller) string { return cmp.Or(c.Initiator, c.Name) }

func (h *host) Sync(r dbusapi.SyncRequest) (engine.JobID, error) {
	return h.Keeper.Sync(keeper.SyncRequest{
		What: r.What, Mode: r.Mode, Slow: r.Slow, DryRun: r.DryRun, IfRunning: r.IfRunning, Timeout: r.Timeout, Initiator: by(r.Caller),
	})
}

func (h *host) Discover(id engine.AccountID, forgetGone bool, c dbusapi.Caller) (engine.JobID, error) {
	return h.Keeper.Discover(id, forgetGone, by(c))
}

func (h *host) Check(id engine.AccountID, try engine.Params, c dbusapi.Caller) (engine.JobID, error) {
	return h.Keeper.Check(id, try, by(c))
}

func (h *host) UpdateCollection(id engine.MemberID, set engine.Meta, unset []engine.MetaKey, c dbusapi.Caller) (engine.JobID, error) {
	return h.Keeper.UpdateCollection(id, set, unset, by(c))
}

func (h *host) ConfirmDeletions(id engine.GroupID, proceed bool, m engine.MemberID, expect *uint32, c dbusapi.Caller) (engine.JobID, error) {
	return h.Keeper.ConfirmDeletions(id, proceed, m, expect, by(c))
}

func (h *host) Resolve(id string, r engine.Resolution, c dbusapi.Caller) (engine.JobID, error) {
	return h.Keeper.Resolve(id, r, by(c))
}

func (h *host) Restore(m engine.MemberID, item string, version uint64, asCopy bool, c dbusapi.Caller) (engine.JobID, error) {
	return h.Keeper.Restore(m, item, version, asCopy, by(c))
}

func (h *host) Undo(job engine.JobID, m engine.MemberID, dryRun bool, c dbusapi.Caller) (engine.JobID, error) {
	return h.Keeper.Undo(job, m, dryRun, by(c))
}

func (h *host) Repair(m engine.MemberID, dryRun bool, c dbusapi.Caller) (engine.JobID, error) {
	return h.Keeper.Repair(m, dryRun, by(c))
}

func (h *host) Reload(dryRun bool) ([]string, error) { return h.program.reload(dryRun) }

func (h *host) Quit(finishJobs bool) {
	select {
	case h.program.quit <- finishJobs:
	default: // it is stopping already
	}
}

func (h *host) Facts() dbusapi.Facts {
	f := dbusapi.Facts{Version: data.Version, Started: h.program.started, ConfigPath: h.program.dirs.config, ControlPath: h.program.sockets.control.Path()}
	if l := h.program.sockets.intro; l != nil {
		f.IntroducerPath = l.Path()
	}
	if h.bus.PassesFiles() {
		f.Capabilities = append(f.Capabilities, "unix-fd")
	}
	if h.program.secrets.keyring != nil {
		f.Capabilities = append(f.Capabilities, "secret-service")
	}
	f.Capabilities = append(f.Capabilities, "streams", "introducer", "agent", "plugins")
	f.StreamTypes = stream.Types[:]
	slices.Sort(f.Capabilities)
	return f
}

// mayRead reports whether the user lets a sandboxed application at items.
func (p *program) mayRead(app string) bool { return slices.Contains(*p.readers.Load(), app) }

// Statistics are counters since the start. The bus adds its own.
func (h *host) Statistics() map[string]uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	m := h.program.kinds.statistics()
	m["goroutines"] = uint64(runtime.NumGoroutine())
	m["heap-bytes"] = sample[0].Value.Uint64()
	for name, n := range h.Keeper.Counters() {
		m[name] = n
	}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		m["open-descriptors"] = uint64(len(open))
	}
	return m
}
