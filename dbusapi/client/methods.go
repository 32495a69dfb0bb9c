package client

import (
	"context"
	"os"
	"syscall"

	"github.com/godbus/dbus/v5"
)

// Options are the trailing a{sv} of a method, as Go values.
type Options map[string]any

func (o Options) variants() map[string]dbus.Variant {
	out := make(map[string]dbus.Variant, len(o))
	for k, v := range o {
		out[k] = dbus.MakeVariant(v)
	}
	return out
}

// SyncOptions are what may be asked of a sync; the zero value asks for nothing.
type SyncOptions struct {
	Mode      string // "two-way" or "from:MEMBER"
	Slow      bool
	DryRun    bool
	IfRunning string // "join", "queue", "fail"
}

// Sync starts or joins a sync of "", a group, an account or ACCOUNT/COLLECTION.
func (c *Client) Sync(ctx context.Context, what string, o SyncOptions) (dbus.ObjectPath, error) {
	opts := Options{}
	if o.Mode != "" {
		opts["mode"] = o.Mode
	}
	if o.Slow {
		opts["slow"] = true
	}
	if o.DryRun {
		opts["dry-run"] = true
	}
	if o.IfRunning != "" {
		opts["if-running"] = o.IfRunning
	}
	return c.job(ctx, Root, "Manager.Sync", what, opts.variants())
}

// job calls a method whose one result is the path of a job.
func (c *Client) job(ctx context.Context, path dbus.ObjectPath, method string, args ...any) (dbus.ObjectPath, error) {
	var job dbus.ObjectPath
	err := c.Call(ctx, path, Name+"."+method, args, &job)
	return job, err
}

// Wait waits for a job and gives its result and report. What the job could not
// do is in the report, not in err.
func (c *Client) Wait(ctx context.Context, job dbus.ObjectPath) (result string, report Props, err error) {
	err = c.Call(ctx, job, Name+".Job.Wait", []any{Options{}.variants()}, &result, &report)
	return result, report, err
}

// Cancel asks a job to stop at the next item.
func (c *Client) Cancel(ctx context.Context, job dbus.ObjectPath) error {
	return c.Call(ctx, job, Name+".Job.Cancel", []any{Options{}.variants()})
}

// AddAccount sets up an account. Parameters are string, bool, uint32 or []string.
func (c *Client) AddAccount(ctx context.Context, id, kind string, parameters, o Options) (dbus.ObjectPath, error) {
	return c.job(ctx, Root, "Manager.AddAccount", id, kind, parameters.variants(), o.variants())
}

// Parameters describes the parameters of an account kind.
func (c *Client) Parameters(ctx context.Context, kind string) ([]Props, error) {
	var out []Props
	err := c.Call(ctx, Root, Name+".Manager.GetParameters", []any{kind}, &out)
	return out, err
}

// SetSecret stores a secret. It travels through a descriptor, never in a message.
func (c *Client) SetSecret(ctx context.Context, account, name string, secret []byte, o Options) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Write(secret)
		w.Close()
	}()
	err = c.Call(ctx, AccountPath(account), Name+".Account.SetSecret", []any{name, dbus.UnixFD(r.Fd()), o.variants()})
	r.Close() // a writer that nobody reads from must not be waited for
	<-done
	return err
}

// ForgetSecret removes a secret from memory and from the keyring; with "store"
// "session" from memory alone.
func (c *Client) ForgetSecret(ctx context.Context, account, name string, o Options) error {
	return c.Call(ctx, AccountPath(account), Name+".Account.ForgetSecret", []any{name, o.variants()})
}

// Check connects, logs in and reads the root, and changes nothing.
func (c *Client) Check(ctx context.Context, account string) (dbus.ObjectPath, error) {
	return c.job(ctx, AccountPath(account), "Account.Check", Options{}.variants())
}

// Discover looks for collections again.
func (c *Client) Discover(ctx context.Context, account string, o Options) (dbus.ObjectPath, error) {
	return c.job(ctx, AccountPath(account), "Account.Discover", o.variants())
}

// RemoveAccount deletes an account and its sync state, no items.
func (c *Client) RemoveAccount(ctx context.Context, account string) error {
	return c.Call(ctx, AccountPath(account), Name+".Account.Remove", []any{Options{}.variants()})
}

// AddGroup keeps accounts or collections in step.
func (c *Client) AddGroup(ctx context.Context, id string, members []string, o Options) (dbus.ObjectPath, error) {
	return c.job(ctx, Root, "Manager.AddGroup", id, members, o.variants())
}

// RemoveGroup deletes a group and its sync state, no items.
func (c *Client) RemoveGroup(ctx context.Context, id string) error {
	return c.Call(ctx, GroupPath(id), Name+".Group.Remove", []any{Options{}.variants()})
}

// UpdateGroup changes settings of a group in one step.
func (c *Client) UpdateGroup(ctx context.Context, group string, set Options, unset []string) error {
	var restart []string
	return c.Call(ctx, GroupPath(group), Name+".Group.Update", []any{set.variants(), unset, Options{}.variants()}, &restart)
}

// AddMember takes one more account or collection into a group, RemoveMember lets
// one go, and its items stay where they are.
func (c *Client) AddMember(ctx context.Context, group, member string) error {
	return c.Call(ctx, GroupPath(group), Name+".Group.AddMember", []any{member, Options{}.variants()})
}
func (c *Client) RemoveMember(ctx context.Context, group, member string) error {
	return c.Call(ctx, GroupPath(group), Name+".Group.RemoveMember", []any{member, Options{}.variants()})
}

// ResetState forgets what was in step: the next sync compares everything.
func (c *Client) ResetState(ctx context.Context, group string) error {
	return c.Call(ctx, GroupPath(group), Name+".Group.ResetState", []any{Options{}.variants()})
}

// CreateCollection makes a calendar or an address book.
func (c *Client) CreateCollection(ctx context.Context, account, id, kind string, o Options) (dbus.ObjectPath, error) {
	return c.job(ctx, AccountPath(account), "Account.CreateCollection", id, kind, o.variants())
}

// UpdateCollection changes name, colour, description or order, by a job.
func (c *Client) UpdateCollection(ctx context.Context, collection string, set Options, unset []string) (dbus.ObjectPath, error) {
	return c.job(ctx, CollectionPath(collection), "Collection.Update", set.variants(), unset, Options{}.variants())
}

// Pause starts nothing new for that many seconds; 0 for until Resume.
func (c *Client) Pause(ctx context.Context, seconds uint32, o Options) error {
	return c.Call(ctx, Root, Name+".Manager.Pause", []any{seconds, o.variants()})
}
func (c *Client) Resume(ctx context.Context) error {
	return c.Call(ctx, Root, Name+".Manager.Resume", nil)
}

// ConfirmDeletions lets held deletions happen, or puts the items back.
func (c *Client) ConfirmDeletions(ctx context.Context, group string, proceed bool, o Options) (dbus.ObjectPath, error) {
	return c.job(ctx, GroupPath(group), "Group.ConfirmDeletions", proceed, o.variants())
}

// Conflicts and Problems give all that are open, page by page.
func (c *Client) Conflicts(ctx context.Context, what string) ([]Props, error) {
	return c.pages(ctx, "Manager.ListConflicts", what, Options{})
}
func (c *Client) Problems(ctx context.Context, what string, heldOnly bool) ([]Props, error) {
	o := Options{}
	if heldOnly {
		o["held"] = true
	}
	return c.pages(ctx, "Manager.ListProblems", what, o)
}

// History gives the reports of finished jobs, newest first, at most limit.
func (c *Client) History(ctx context.Context, what string, limit uint32) ([]Props, error) {
	var out []Props
	err := c.Call(ctx, Root, Name+".Manager.GetHistory", []any{what, uint32(0), min(limit, page), Options{}.variants()}, &out)
	return out, err
}

// page is the most that a listing method gives at once.
const page = 500

func (c *Client) pages(ctx context.Context, method, what string, o Options) ([]Props, error) {
	var all []Props
	for {
		var some []Props
		if err := c.Call(ctx, Root, Name+"."+method, []any{what, uint32(len(all)), uint32(page), o.variants()}, &some); err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < page {
			return all, nil
		}
	}
}

// UpdateAccount changes parameters in one step.
func (c *Client) UpdateAccount(ctx context.Context, account string, set Options, unset []string) error {
	var restart []string
	return c.Call(ctx, AccountPath(account), Name+".Account.Update", []any{set.variants(), unset, Options{}.variants()}, &restart)
}

// Reload reads the configuration again and tells what changed.
func (c *Client) Reload(ctx context.Context, dryRun bool) ([]string, error) {
	var changed []string
	err := c.Call(ctx, Root, Name+".Control.Reload", []any{Options{"dry-run": dryRun}.variants()}, &changed)
	return changed, err
}

// Watch asks for the Items signals of a job.
func (c *Client) Watch(ctx context.Context, job dbus.ObjectPath) error {
	return c.Call(ctx, job, Name+".Job.Watch", []any{Options{"interval-ms": uint32(100)}.variants()})
}

// Resolve settles a conflict, by its id.
func (c *Client) Resolve(ctx context.Context, conflict, choice string) (dbus.ObjectPath, error) {
	return c.job(ctx, Root+"/conflict/"+escape(conflict), "Conflict.Resolve", choice, Options{}.variants())
}

// Undo puts back what a finished job overwrote or deleted.
func (c *Client) Undo(ctx context.Context, job uint32, o Options) (dbus.ObjectPath, error) {
	return c.job(ctx, Root, "Manager.Undo", job, o.variants())
}

// Versions are what items were before, newest first; item "" means all.
func (c *Client) Versions(ctx context.Context, collection, item string, limit uint32) ([]Props, error) {
	var out []Props
	err := c.Call(ctx, CollectionPath(collection), Name+".Collection.ListVersions", []any{item, uint32(0), min(limit, page), Options{}.variants()}, &out)
	return out, err
}

// Restore brings an earlier version back.
func (c *Client) Restore(ctx context.Context, collection, item string, version uint64, o Options) (dbus.ObjectPath, error) {
	return c.job(ctx, CollectionPath(collection), "Collection.Restore", item, version, o.variants())
}

// Explain tells why an item is as it is.
func (c *Client) Explain(ctx context.Context, collection, item string) ([]string, error) {
	var lines []string
	err := c.Call(ctx, CollectionPath(collection), Name+".Collection.Explain", []any{item}, &lines)
	return lines, err
}

// Repair gives items without UID, or with one that another has, a new one.
func (c *Client) Repair(ctx context.Context, collection string, o Options) (dbus.ObjectPath, error) {
	return c.job(ctx, CollectionPath(collection), "Collection.Repair", o.variants())
}

// Open makes a stream of an account or a collection, by a method such as
// "Collection.Export". It goes with this client, but for one that is kept.
func (c *Client) Open(ctx context.Context, what, method string, o Options) (dbus.ObjectPath, error) {
	var about, stream dbus.ObjectPath
	if err := c.Call(ctx, Root, Name+".Manager.Lookup", []any{what}, &about); err != nil {
		return "", err
	}
	err := c.Call(ctx, about, Name+"."+method, []any{o.variants()}, &stream)
	return stream, err
}

// Listen opens a socket to a stream: see org.davbus.Sync1.Stream. Access "" is
// what is usual.
func (c *Client) Listen(ctx context.Context, stream dbus.ObjectPath, address, access string, o Options) (where, cookie string, err error) {
	err = c.Call(ctx, stream, Name+".Stream.Listen", []any{address, access, o.variants()}, &where, &cookie)
	return where, cookie, err
}

// OpenFd gives a connected socket to a stream.
func (c *Client) OpenFd(ctx context.Context, stream dbus.ObjectPath, o Options) (*os.File, error) {
	var fd dbus.UnixFD
	if err := c.Call(ctx, stream, Name+".Stream.OpenFd", []any{o.variants()}, &fd); err != nil {
		return nil, err
	}
	if err := syscall.SetNonblock(int(fd), true); err != nil { // so that reading can be broken off
		syscall.Close(int(fd))
		return nil, err
	}
	return os.NewFile(uintptr(fd), string(stream)), nil
}
