package service

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"davbus.org/davbus/dbusapi"
	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/keeper"
	"davbus.org/davbus/engine/ledger"
	"davbus.org/davbus/service/config"
)

// join connects to the session bus.
func join(ctx context.Context, address string) (*conn.Conn, *tree, error) {
	t, err := dbusapi.NewTree()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	bus, err := conn.Dial(ctx, address, conn.Options{Handler: t})
	return bus, t, err
}

// taken refuses to run beside another daemon, before anything of its state is
// touched.
func taken(ctx context.Context, bus *conn.Conn) error {
	var owned bool
	r, err := bus.Call(ctx, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.NameHasOwner", dbusapi.BusName)
	if err == nil {
		err = r.Store(&owned)
	}
	if err != nil {
		return fmt.Errorf("cannot ask the bus who owns %s: %w", dbusapi.BusName, err)
	}
	if owned {
		return fmt.Errorf("another davbusd serves this session already (it owns %s); stop it first, or use it", dbusapi.BusName)
	}
	return nil
}

// openKeeper makes the keeper of what is configured and remembered.
func (p *program) openKeeper(cfg config.Config, book *ledger.Ledger, opened ledger.Opened) (err error) {
	p.keeper, err = keeper.New(keeper.Options{
		Ledger: book, Opened: opened, Kinds: p.kinds.table(), Store: p.folder, Secrets: p.secrets,
		Accounts: cfg.Accounts, Groups: cfg.Groups, Jitter: rand.Float64,
		Mend: func(id engine.AccountID, f engine.Failure, since time.Time) func(context.Context) bool {
			if a := p.secretary.Load(); a != nil {
				return a.mend(id, f, since)
			}
			return nil
		},
	})
	return err
}

// untilLeaving gives a context that ends when the daemon is to leave: with parent,
// or by leave. Before it does, whoever is started next is told to wait for us: as
// soon as the name is given up, the bus starts another one if it is called.
func (p *program) untilLeaving(parent context.Context) (ctx context.Context, leave func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	end := sync.OnceFunc(func() {
		p.only.leaving()
		cancel()
	})
	stop := context.AfterFunc(parent, end)
	return ctx, func() { stop(); end() }
}
