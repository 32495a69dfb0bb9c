package dbusapi

import (
	"math"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/engine"
)

// A props is the properties of one interface of one object, in the types of the
// bus, every string of them fit for it.
type props = map[string]any

// usec is a time on the bus: microseconds since the epoch, 0 for never.
func usec(t time.Time) uint64 {
	if t.IsZero() || t.Before(time.UnixMicro(0)) {
		return 0
	}
	return uint64(t.UnixMicro())
}

// each maps a list; the result is never nil, so that equal lists compare equal.
func each[T, U any](in []T, f func(T) U) []U {
	out := make([]U, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

func texts(in []string) []string { return each(in, text) }
func names(in []string) []string { return each(in, name) }
func memberNames(in []engine.MemberID) []string {
	return each(in, func(m engine.MemberID) string { return name(string(m)) })
}

func failureName(f engine.Failure) string {
	if !f.Set {
		return ""
	}
	return errorName(f.Kind)
}

func managerProps(m engine.ManagerState) props {
	until := usec(m.PausedUntil)
	if m.State == "paused" && m.PausedUntil.IsZero() {
		until = math.MaxUint64
	}
	return props{
		"AccountKinds":    texts(m.AccountKinds),
		"State":           text(m.State),
		"Online":          m.Online,
		"PausedUntilUSec": until,
		"Jobs":            each(m.Jobs, jobPath),
		"ConflictCount":   m.ConflictCount,
		"AttentionNeeded": m.AttentionNeeded,
		"LastSuccessUSec": usec(m.LastSuccess),
		"NextRunUSec":     usec(m.NextRun),
	}
}

func accountProps(a *engine.AccountState) props {
	return props{
		"Id":               name(string(a.ID)),
		"Kind":             text(a.Kind),
		"DisplayName":      text(a.DisplayName),
		"Enabled":          a.Enabled,
		"Valid":            a.Invalid == nil,
		"Managed":          a.Managed,
		"State":            text(a.State),
		"ErrorName":        failureName(a.Failure),
		"ErrorMessage":     message(a.Failure.Message),
		"Parameters":       paramValues(a.Params),
		"Url":              text(a.URL),
		"Transport":        text(a.Transport),
		"TransportAddress": name(a.TransportAddress),
		"SecretState":      text(a.SecretState),
		"Capabilities":     texts(a.Capabilities),
		"Collections":      each(a.Collections, collectionPath),
		"LastAttemptUSec":  usec(a.LastAttempt),
		"LastSuccessUSec":  usec(a.LastSuccess),
		"NextAttemptUSec":  usec(a.NextAttempt),
	}
}

// paramValues are parameters as the bus has them.
func paramValues(p engine.Params) map[string]dbus.Variant {
	out := map[string]dbus.Variant{}
	for key, v := range p {
		out[text(key)] = dbus.MakeVariant(paramValue(v))
	}
	return out
}

func paramValue(v any) any {
	switch v := v.(type) {
	case string:
		return text(v)
	case []string:
		return texts(v)
	}
	return v
}

func collectionProps(c *engine.CollectionState) props {
	order := int64(-1)
	if n, err := strconv.ParseInt(c.Meta[engine.MetaOrder], 10, 32); err == nil {
		order = n
	}
	return props{
		"Id":              name(c.Collection.ID),
		"Account":         accountPath(c.Account),
		"Kind":            text(c.Kind),
		"Components":      texts(c.Components),
		"DisplayName":     text(c.Meta[engine.MetaName]),
		"Color":           text(c.Meta[engine.MetaColor]),
		"Description":     text(c.Meta[engine.MetaDescription]),
		"Order":           int32(order),
		"Writable":        c.Writable,
		"Url":             text(c.URL),
		"FolderPath":      name(c.Folder),
		"Revision":        text(c.Revision),
		"ItemCount":       c.ItemCount,
		"Groups":          each(c.Groups, groupPath),
		"LastSuccessUSec": usec(c.LastSuccess),
		"ErrorName":       failureName(c.Failure),
	}
}

func groupProps(g *engine.GroupState) props {
	job := dbus.ObjectPath("/")
	if g.Job != 0 {
		job = jobPath(g.Job)
	}
	return props{
		"Id":              name(string(g.ID)),
		"Members":         each(g.Members, memberPath),
		"MemberIds":       names(g.Members),
		"Enabled":         g.Enabled,
		"Direction":       name(g.Direction),
		"ConflictPolicy":  name(g.ConflictPolicy),
		"IntervalSec":     g.IntervalSec,
		"State":           text(g.State),
		"SlowSyncReason":  text(g.SlowSyncReason),
		"Job":             job,
		"LastResult":      text(g.LastResult),
		"LastSuccessUSec": usec(g.LastSuccess),
		"NextRunUSec":     usec(g.NextRun),
		"ConflictCount":   g.ConflictCount,
		"ProblemCount":    g.ProblemCount,
		"HeldDeletions":   g.HeldDeletions,
		"ErrorName":       failureName(g.Failure),
		"ErrorMessage":    message(g.Failure.Message),
	}
}

func jobProps(j *engine.JobState) props {
	return props{
		"Id":           uint32(j.ID),
		"Kind":         text(j.Kind),
		"Target":       targetPath(j.Target),
		"Initiator":    text(j.Initiator),
		"State":        text(j.State),
		"Phase":        text(j.Progress.Phase),
		"Percent":      j.Progress.Percent(),
		"ItemsDone":    j.Progress.ItemsDone,
		"ItemsTotal":   j.Progress.ItemsTotal,
		"BytesDone":    j.Progress.BytesDone,
		"Cancellable":  j.Cancellable,
		"Result":       text(j.Result),
		"ErrorName":    failureName(j.Failure),
		"ErrorMessage": message(j.Failure.Message),
		"QueuedUSec":   usec(j.Queued),
		"StartedUSec":  usec(j.Started),
		"FinishedUSec": usec(j.Finished),
	}
}

func conflictProps(c *engine.ConflictState) props {
	return props{
		"Id":           name(c.ID),
		"Group":        groupPath(c.Group),
		"ItemName":     name(c.ItemName),
		"Members":      memberNames(c.Members),
		"Component":    text(c.Component),
		"Kind":         text(c.Kind),
		"DetectedUSec": usec(c.Detected),
		"State":        text(c.State),
	}
}

// A dict is an a{sv}.
type dict = map[string]dbus.Variant

func makeDict(p props) dict {
	out := make(dict, len(p))
	for key, v := range p {
		out[key] = dbus.MakeVariant(v)
	}
	return out
}

func reportDict(r engine.Report) dict {
	out := countsDict(r.Counts, r.Failure)
	for key, v := range (props{
		"id": uint32(r.Job), "kind": text(r.Kind), "target": targetPath(r.Target), "result": text(r.Result),
		"started-usec": usec(r.Started), "finished-usec": usec(r.Finished),
		"sets": each(r.Sets, partDict), "members": each(r.Members, partDict),
	}) {
		out[key] = dbus.MakeVariant(v)
	}
	if len(r.Lines) > 0 {
		out["lines"] = dbus.MakeVariant(texts(r.Lines))
	}
	for key, v := range r.Extra {
		if v = paramValue(v); engine.Signature(v) != "" {
			out[text(key)] = dbus.MakeVariant(v)
		}
	}
	return out
}

func partDict(p engine.PartReport) dict {
	out := countsDict(p.Counts, p.Failure)
	out["id"] = dbus.MakeVariant(name(p.ID))
	if p.SlowReason != "" {
		out["slow-reason"] = dbus.MakeVariant(text(p.SlowReason))
	}
	return out
}

func countsDict(c engine.Counts, f engine.Failure) dict {
	return makeDict(props{
		"added": c.Added, "modified": c.Modified, "removed": c.Removed, "failed": c.Failed, "merged": c.Merged,
		"conflicts": c.Conflicts, "held": c.Held, "bytes": c.Bytes, "requests": c.Requests,
		"error-name": failureName(f), "error-message": message(f.Message),
	})
}

func problemDict(p engine.Problem) dict {
	f := p.Failure
	if p.Held {
		f.Kind, f.Set = engine.NeedsConfirmation, true
	}
	return makeDict(props{
		"group": groupPath(p.Group), "member": name(string(p.Member)), "item": name(p.Item),
		"error-name": failureName(f), "error-message": message(f.Message),
		"since-usec": usec(p.Since), "tries": p.Tries, "next-try-usec": usec(p.NextTry),
	})
}

func versionDict(v engine.Version) dict {
	return makeDict(props{
		"item": name(v.Item), "version": v.ID, "replaced-usec": usec(v.Replaced), "job": uint32(v.Job), "reason": text(v.Reason),
	})
}

func specDict(s engine.ParamSpec) dict {
	out := makeDict(props{
		"name": text(s.Name), "signature": text(s.Signature), "required": s.Required, "secret": s.Secret, "summary": text(s.Summary),
	})
	if s.Default != nil && engine.Signature(s.Default) != "" {
		out["default"] = dbus.MakeVariant(paramValue(s.Default))
	}
	if len(s.Choices) > 0 {
		out["choices"] = dbus.MakeVariant(texts(s.Choices))
	}
	return out
}
