package dbusapi

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/data"
	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/feed"
)

// apiVersion is raised by one with each compatible addition to the contract.
const apiVersion uint32 = 1

// A Face is davbus as the bus sees it: a tree of objects that follows a Host.
type Face struct {
	host    Host
	log     Log
	callers Callers
	facts   Facts
	tree    *tree.Tree
	view    *view
	pub     *publisher
	sub     *feed.Sub
	quota   quota
	ration  *ration
	bonds   *bonds
	pause   pauseBond
	agents  *Agents
	plugins *pluginBook

	// MayRead says which sandboxed applications may read and write items all the
	// same; set before Serve, nil for none.
	MayRead func(app string) bool

	commands map[string]*Command // by name

	lastStream atomic.Uint32
	streams    sync.WaitGroup // those that are not closed

	names    sync.Mutex
	followed map[string]func() // owners of names: stops following one

	lastCall atomic.Int64 // in nanoseconds since the epoch

	closing context.Context // done when calls that wait must give up
	close   context.CancelFunc
	helpers sync.WaitGroup // goroutines that carry bytes for callers
}

// NewTree makes the tree that a Face fills. It is the handler of the connection.
func NewTree() (*tree.Tree, error) { return tree.New(Root, data.Interfaces) }

// New fills a tree of NewTree with everything that the Host has, silently: nobody
// knows our name yet. Calls that come before Serve wait for it.
func New(t *tree.Tree, host Host, log Log, callers Callers) (*Face, error) {
	f := &Face{host: host, log: log, callers: &localCallers{Callers: callers, here: map[string]*Local{}}, facts: host.Facts(), tree: t, view: newView(), followed: map[string]func(){}}
	f.closing, f.close = context.WithCancel(context.Background())
	f.ration = newRation(f.view)
	f.bonds = newBonds(f)
	f.agents = newAgents(f)
	f.plugins = newPluginBook(f)
	t.Errors, t.Allow, t.Gone = ErrorReply, f.allow, f.follow
	fixed, err := constants(data.Interfaces)
	if err != nil {
		return nil, err
	}
	if f.commands, err = readCommands(); err != nil {
		return nil, err
	}
	f.pub = &publisher{
		tree: t, fixed: fixed, view: f.view, objects: map[dbus.ObjectPath]*object{}, items: map[engine.MemberID]*itemNames{},
		parts: parts{f.account, f.collection, f.group, f.job, f.conflict},
	}
	if i, ok := host.(Introducer); ok {
		i.NamesChanged(f.namesChanged)
	}
	snapshot, sub := host.Watch()
	f.sub = sub
	if err = f.putRoot(snapshot.Manager); err == nil {
		err = f.pub.begin(snapshot)
	}
	if err == nil {
		f.plugins.refresh()
		err = f.plugins.err
	}
	if err != nil {
		sub.Close()
		return nil, err
	}
	return f, nil
}

// putRoot publishes the two objects that are always there.
func (f *Face) putRoot(m engine.ManagerState) error {
	manager, shell, control := f.manager(), f.shell(), f.control()
	values := managerProps(m)
	values["Version"], values["ApiVersion"] = text(f.facts.Version), apiVersion
	values["Capabilities"], values["StreamTypes"] = texts(f.facts.Capabilities), texts(f.facts.StreamTypes)
	values["Accounts"], values["Groups"] = []dbus.ObjectPath{}, []dbus.ObjectPath{}
	f.pub.root = newObject(Root, ifManager, values)
	manager.Properties = f.pub.root.properties(nil)
	f.pub.control = newObject(Root, ifControl, props{
		"StartedUSec": usec(f.facts.Started), "ConfigPath": name(f.facts.ConfigPath),
		"ConfigState": text(m.ConfigState), "SocketPath": name(f.facts.ControlPath),
	})
	control.Properties = f.pub.control.properties(nil)
	if err := f.tree.Put(Root, manager, shell, control, f.pluginManager(), f.introducer()); err != nil {
		return err
	}
	return f.tree.Put(LogPath, f.logControl())
}

// settle waits until everything that the Host has done so far is on the wire, so
// that a reply never overtakes its effects.
func (f *Face) settle() { f.pub.await(f.host.Seq()) }

// done is the end of a method that may have changed something. One that failed has
// effects too: a reload that is refused tells that the files are invalid.
func (f *Face) done(err error) error {
	f.settle()
	return err
}

// work runs a goroutine that Close waits for. It must end soon after closing.
func (f *Face) work(do func()) { f.helpers.Go(do) }

// follow calls left when a caller leaves the bus. Callers on a connection
// without a bus have no name and never leave before it.
func (f *Face) follow(caller string, left func()) (stop func(), err error) {
	if caller == "" {
		return func() {}, nil
	}
	give, err := f.quota.take("", everyHolder, maxTracked)
	if err != nil {
		return nil, err
	}
	unfollow, err := f.callers.Gone(caller, func() { give(); left() })
	if err != nil {
		give()
		return nil, err
	}
	return func() { give(); unfollow() }, nil
}

// caller tells who calls.
func (f *Face) caller(c tree.Call) Caller { return f.callers.Identify(c.Sender()) }

// wait waits for the end of a job; its own turn among the calls of its sender is
// given up before, so that the same sender may cancel it.
func (f *Face) wait(c tree.Call, j *job, limit time.Duration, limited bool) error {
	if err := c.Detach(); err != nil {
		return err
	}
	var late <-chan time.Time
	if limited {
		t := time.NewTimer(limit)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-j.done:
		return nil
	default:
	}
	path := string(j.object.path)
	select {
	case <-j.done:
		return nil
	case <-late:
		return engine.Fail(engine.Timeout, "wait for", path, "the job is not done after the time that the caller gave; it goes on")
	case <-f.closing.Done():
		return engine.Fail(engine.Cancelled, "wait for", path, "davbusd stops")
	case <-c.Context().Done():
		return engine.Fail(engine.Cancelled, "wait for", path, "%w", context.Cause(c.Context()))
	}
}
