// Package service puts davbus together and runs it. It is the only part that
// knows all the others, and the only one that logs.
package service

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"davbus.org/davbus/data"
	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/dbusapi/conn/callers"
	secretservice "davbus.org/davbus/dbusapi/desktop/secrets"
	"davbus.org/davbus/engine/keeper"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/service/config"
	"davbus.org/davbus/transports/intro"
)

// Options say how the daemon runs. Everything else is in the environment and in
// the configuration.
type Options struct {
	LogLevel string    // "" for what davbus.yaml says
	Log      io.Writer // where the log goes
	Ready    *os.File  // told one line when ready; may be nil
	Reload   <-chan os.Signal

	// IdleExit is how long davbusd stays with nothing to do; 0 for what davbus.yaml
	// says.
	IdleExit time.Duration

	// Network tells whether the network is there until its context ends; nil asks
	// the desktop.
	Network func(ctx context.Context, tell func(online bool))
}

// Run runs the daemon until ctx ends, somebody calls Quit, or it was idle for
// long enough. An error says why it cannot go on.
func Run(ctx context.Context, o Options) error {
	control, routes := handed(os.Getpid(), os.Getenv, os.Unsetenv, inherit)
	defer routes.Close()
	d, err := findDirs(os.Getenv)
	if err != nil {
		return err
	}
	address, err := conn.SessionAddress()
	if err != nil {
		return err
	}
	bus, tree, err := join(ctx, address)
	if err != nil {
		return err
	}
	defer bus.Close()
	if err := taken(ctx, bus); err != nil {
		return err
	}
	only, err := lock(ctx, filepath.Join(d.state, "lock"))
	if err != nil {
		return err
	}
	defer only.unlock()

	p := &program{dirs: d, only: only, address: address, started: time.Now(), quit: make(chan bool, 1), unlocked: make(chan struct{}, 1), broker: intro.NewBroker()}
	p.plugins = newPlugins(d, pluginDirs(d))
	if err := p.plugins.findOnBus(ctx, bus); err != nil {
		return fmt.Errorf("cannot ask the bus for plugins: %w", err)
	}
	p.folder = config.Open(d.config, p.specs)
	cfg, err := p.folder.Load()
	if err != nil {
		return err
	}
	p.secrets = newSecrets()
	p.log = newLog(o.Log, o.LogLevel, cfg.Daemon, p.secrets)
	p.idleExit.Store(cfg.Daemon.IdleExitSec)
	p.readers.Store(&cfg.Daemon.ContentApps)
	p.sayOddities(cfg)
	book, opened, err := ledger.Open(filepath.Join(d.state, "ledger.db"))
	if err != nil {
		return err
	}
	defer book.Close()
	keyring := p.openKeyring(address)
	defer keyring.Close()
	p.kinds = newKinds(d, p.secrets, p.plugins)
	p.kinds.handed, p.kinds.log = routes, p.log
	if err := p.openKeeper(cfg, book, opened); err != nil {
		return err
	}
	p.plugins.attach(book, p.keeper, p.log)
	defer p.plugins.close()
	if opened.SetAside != "" {
		p.log.say("the ledger was damaged and was set aside as " + opened.SetAside + "; the next sync compares everything, and deletes nothing")
	}
	return p.serve(ctx, bus, tree, o, cfg, control)
}

// sayOddities logs what the user should know of how it starts.
func (p *program) sayOddities(cfg config.Config) {
	if p.dirs.madeRuntime {
		p.log.say("XDG_RUNTIME_DIR is not set; private sockets are in " + p.dirs.runtime)
	}
	if err := cfg.Daemon.Invalid; err != nil {
		p.log.fault("davbus.yaml cannot be used; the defaults hold", err)
	}
}

// program is the running daemon.
type program struct {
	imports atomic.Int32 // that gather their content now
	dirs    dirs
	only    *stateLock
	address string // of the session bus
	started time.Time
	folder  *config.Folder
	secrets *secrets
	plugins *plugins
	kinds   *kinds
	keeper  *keeper.Keeper
	log     *log
	quit    chan bool // whether running jobs may finish

	unlocked  chan struct{}            // something in the keyring changed
	idleExit  atomic.Uint32            // seconds; 0: never
	readers   atomic.Pointer[[]string] // applications that may read items from within a sandbox
	inForce   atomic.Value             // the configState of what is loaded
	sockets   *sockets
	broker    *intro.Broker
	secretary atomic.Pointer[secretary]
	work      sync.WaitGroup
}

// serve runs everything until something asks for the end; told ends when whoever
// started us does.
func (p *program) serve(told context.Context, bus *conn.Conn, t *tree, o Options, cfg config.Config, control *os.File) error {
	var err error
	if p.sockets, err = p.listen(control, cfg.Daemon); err != nil {
		return err
	}
	defer p.sockets.close()
	ctx, leave := p.untilLeaving(told)
	defer leave()
	running, stop := context.WithCancel(context.Background())
	defer stop()
	keeping := make(chan struct{})
	go func() { defer close(keeping); p.keeper.Run(running) }()
	p.secrets.begin(func(do func(context.Context)) { p.work.Go(func() { do(ctx) }) }, p.log.fault)
	p.configState(cfg)
	_, events := p.keeper.Watch()
	p.work.Go(func() { p.log.follow(running, events) })

	who := callers.New(bus)
	defer who.Close()
	face, err := dbusapi.New(t, p.host(bus), p.log, who)
	if err != nil {
		stop()
		<-keeping
		p.work.Wait()
		return err
	}
	face.MayRead = p.mayRead
	t.Bind(bus)
	answering, hangUp := context.WithCancel(context.Background())
	defer hangUp()
	p.work.Go(func() { p.sockets.serve(answering, p, face) })
	p.work.Go(func() { p.sockets.servePlugins(answering, p) })
	var finishJobs atomic.Bool
	p.attend(ctx, leave, face, o, &finishJobs)
	defer p.plugins.watchBus(p.work.Go)()
	ready := func() {
		p.keeper.Begin()
		p.log.say("ready as " + dbusapi.BusName + ", davbus " + data.Version)
		tellReady(o.Ready)
		p.work.Go(func() { p.rest(ctx, leave, face, o) })
	}
	finish := func() {
		leave()
		tellStopping()
		if finishJobs.Load() {
			defer context.AfterFunc(told, stop)() // SIGTERM waits for no job
			p.keeper.Drain()
		}
		stop()
		<-keeping
	}
	err = face.Serve(ctx, bus, ready, finish)
	hangUp() // last, so that nobody is left without an answer
	p.work.Wait()
	if err == nil {
		p.log.say("stopped")
	}
	return err
}

// attend starts what looks after the daemon until its context ends.
func (p *program) attend(ctx context.Context, leave func(), face *dbusapi.Face, o Options, finishJobs *atomic.Bool) {
	p.work.Go(func() { p.follow(ctx, leave, o.Reload, finishJobs) })
	secretary := newSecretary(ctx, p, face.Agents())
	p.secretary.Store(secretary)
	_, needs := p.keeper.Watch()
	p.work.Go(func() { secretary.run(needs) })
	p.work.Go(func() { p.watchFiles(ctx) })
	p.work.Go(func() { p.watchKeyring(ctx) })
	p.work.Go(func() { p.watchNetwork(ctx, p.address, o.Network) })
	p.work.Go(func() { p.feedWatchdog(ctx) })
}

// rest leaves once there was nothing to do for long enough. The time before we are
// ready does not count: whoever had us started may not have been heard yet.
func (p *program) rest(ctx context.Context, leave func(), face *dbusapi.Face, o Options) {
	after := func() time.Duration { return cmp.Or(o.IdleExit, time.Duration(p.idleExit.Load())*time.Second) }
	if idle(ctx, p.keeper, visitors{face, p.broker}, after) {
		p.log.say("nothing to do; leaving")
		leave()
	}
}

// follow does what signals and Quit ask for.
func (p *program) follow(ctx context.Context, leave func(), reload <-chan os.Signal, finishJobs *atomic.Bool) {
	for {
		select {
		case <-ctx.Done():
			return
		case finish := <-p.quit:
			finishJobs.Store(finish)
			leave()
			return
		case <-reload:
			if changed, err := p.reload(false); err != nil {
				p.log.fault("the configuration was not reloaded", err)
			} else {
				p.log.say(fmt.Sprintf("configuration reloaded; changed: %d", len(changed)))
			}
		}
	}
}

// openKeyring has secrets kept in the desktop's keyring, if there is one.
func (p *program) openKeyring(address string) *secretservice.Keyring {
	k := secretservice.New(secretservice.Options{
		Dial: secretservice.Dial(address),
		Changed: func() {
			select {
			case p.unlocked <- struct{}{}:
			default: // one that is not yet seen says it too
			}
		},
	})
	p.secrets.keyring = k
	return k
}

// watchKeyring has what waits for a secret tried again when the keyring changes.
// There may be none, and one that comes later is noticed when it is asked for a
// secret.
func (p *program) watchKeyring(ctx context.Context) {
	if k, ok := p.secrets.keyring.(interface{ Listen(context.Context) error }); ok {
		_ = k.Listen(ctx)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.unlocked:
			p.keeper.SecretsChanged()
		}
	}
}
