package dbusapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/conn"
)

// A bus is the connection, as the face needs it.
type bus interface {
	RequestName(ctx context.Context, name string) error
	ReleaseName(ctx context.Context, name string) error
	Flush(ctx context.Context) error
	Listen(tell func(*dbus.Signal)) (stop func())
	Done() <-chan struct{}
	Err() error
}

// How long the bus may take for an answer while we stop. It is local and quick;
// a bus that hangs must not keep us.
const busTime = 5 * time.Second

// Serve owns the name on a connection whose handler is the face's tree, until
// ctx ends; ready is called once it is owned. Then it gives the name up, and only
// after that finish is called: it ends the jobs, and is back when the Host has
// told everything. Until then every call is answered and everything is
// published, so nothing that was sent to the name is lost.
//
// It fails at once if somebody else has the name, and later if the connection or
// the name is lost; finish is called in any case. The tree is closed
// afterwards.
func (f *Face) Serve(ctx context.Context, c *conn.Conn, ready, finish func()) error {
	f.tree.Bind(c)
	f.agents.bind(c)
	return f.serve(ctx, c, ready, finish)
}

func (f *Face) serve(ctx context.Context, bus bus, ready, finish func()) error {
	publishing, stop := context.WithCancel(context.Background())
	failed := make(chan error, 1)
	f.helpers.Go(func() { failed <- f.pub.run(publishing, f.sub) })
	f.helpers.Go(f.plugins.follow)
	nameLost := make(chan struct{}, 1)
	unlisten := bus.Listen(func(s *dbus.Signal) {
		if s.Name == "org.freedesktop.DBus.NameLost" && len(s.Body) == 1 && s.Body[0] == BusName {
			select {
			case nameLost <- struct{}{}:
			default:
			}
		}
	})
	err := own(ctx, bus)
	if err == nil {
		ready()
		select {
		case <-ctx.Done():
			err = release(bus)
		case <-bus.Done():
			err = fmt.Errorf("the connection to the bus is lost: %w", bus.Err())
		case err = <-failed:
		case <-nameLost:
			err = fmt.Errorf("the bus took the name %s away", BusName)
		}
	}
	unlisten()
	finish()
	f.settle()
	f.end(bus)
	stop()
	f.streams.Wait()
	f.helpers.Wait()
	f.sub.Close()
	return err
}

// own takes the name, also when we are to leave before we have it: there may be
// calls for it, and they are answered.
func own(ctx context.Context, bus bus) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), busTime)
	defer cancel()
	err := bus.RequestName(ctx, BusName)
	if errors.Is(err, conn.ErrNameTaken) {
		return fmt.Errorf("another davbusd serves this session already; stop it first, or use it: %w", err)
	}
	return err
}

// release gives the name up. When it is back, every call that was sent to the
// name has come.
func release(bus bus) error {
	ctx, cancel := context.WithTimeout(context.Background(), busTime)
	defer cancel()
	if err := bus.ReleaseName(ctx, BusName); err != nil {
		return fmt.Errorf("cannot give up the name %s: %w", BusName, err)
	}
	return nil
}

// end answers whatever waits and sees the answers off.
func (f *Face) end(bus bus) {
	f.close()
	f.agents.release()
	ctx, cancel := context.WithTimeout(context.Background(), busTime)
	defer cancel()
	// Whatever is not answered by then, Close answers with Cancelled.
	f.tree.Drain(ctx)
	f.tree.Close()
	// A connection that is lost takes nothing; the caller knows.
	bus.Flush(ctx)
}

// LastCall is when a method was last called; zero if never.
func (f *Face) LastCall() time.Time {
	if at := f.lastCall.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// InFlight is how many calls have come and are not answered yet.
func (f *Face) InFlight() int { return f.tree.InFlight() }

// Awaited reports whether somebody counts on our being here: an agent, or who has
// a stream, a registered plugin or a subscription.
func (f *Face) Awaited() bool { return f.agents.count() > 0 || f.quota.any() }
