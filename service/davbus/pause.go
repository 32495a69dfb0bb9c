package main

import (
	"time"

	"davbus.org/davbus/dbusapi/client"
)

type pauseCmd struct {
	For    time.Duration `arg:"" optional:"" help:"How long, as 90s, 30m or 8h; until 'davbus resume' if it is left out."`
	Cancel bool          `help:"Ask running jobs to stop at the next item."`
}

func (c *pauseCmd) Run(r *runtime) error {
	if c.For < 0 || c.For > 0 && c.For < time.Second || c.For > 365*24*time.Hour {
		return usageError("a pause takes from 1 second to a year")
	}
	if err := r.client.Pause(r.ctx, uint32(c.For/time.Second), client.Options{"cancel-running": c.Cancel}); err != nil {
		return err
	}
	if r.json {
		return nil
	}
	until := "until 'davbus resume'"
	if c.For > 0 {
		until = "for " + c.For.String()
	}
	say(r.out, "Nothing new is started by itself %s; what you ask for is done.", until)
	return nil
}

type resumeCmd struct{}

func (c *resumeCmd) Run(r *runtime) error { return r.client.Resume(r.ctx) }
