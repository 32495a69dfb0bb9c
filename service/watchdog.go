package service

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// feedWatchdog tells systemd again and again that we are alive, where it wants to
// hear that: alive is who still answers.
func (p *program) feedWatchdog(ctx context.Context) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return
	}
	tick := time.NewTicker(every / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.keeper.Idle() // comes back once the keeper has had its turn
		_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
	}
}
