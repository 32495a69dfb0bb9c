package service

import (
	"context"
	"time"

	"davbus.org/davbus/engine/keeper"
	"davbus.org/davbus/service/config"
)

// How the configuration stands, as the bus shows it.
const (
	configLoaded  = "loaded"
	configChanged = "changed-on-disk"
	configInvalid = "invalid"
)

// reload reads the configuration again: all of it or none.
func (p *program) reload(dryRun bool) ([]string, error) {
	if !dryRun {
		p.plugins.look()
	}
	var cfg config.Config
	changed, err := p.keeper.Reconfigure(func() (keeper.Reading, error) {
		var err error
		cfg, err = p.folder.Read()
		return keeper.Reading{Accounts: cfg.Accounts, Groups: cfg.Groups, Accept: func() { p.folder.Accept(cfg) }}, err
	}, dryRun)
	switch {
	case dryRun:
	case err != nil:
		p.keeper.SetConfigState(configInvalid)
	default:
		p.log.configured(cfg.Daemon)
		p.idleExit.Store(cfg.Daemon.IdleExitSec)
		p.readers.Store(&cfg.Daemon.ContentApps)
		p.configState(cfg)
	}
	return changed, err
}

// configState tells how a configuration stands that is in force: a file with a
// fault makes it invalid, though all the others hold.
func (p *program) configState(cfg config.Config) {
	state := configLoaded
	if cfg.Daemon.Invalid != nil {
		state = configInvalid
	}
	for _, a := range cfg.Accounts {
		if a.Invalid != nil {
			state = configInvalid
		}
	}
	for _, g := range cfg.Groups {
		if g.Invalid != nil {
			state = configInvalid
		}
	}
	p.inForce.Store(state)
	p.keeper.SetConfigState(state)
}

// watchFiles tells when the files are not what was loaded.
func (p *program) watchFiles(ctx context.Context) {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		inForce := p.inForce.Load().(string)
		state := p.keeper.Snapshot().Manager.ConfigState
		switch changed := p.folder.Changed(); {
		case changed && state == configLoaded:
			p.keeper.SetConfigState(configChanged)
		case !changed && state != inForce:
			p.keeper.SetConfigState(inForce)
		}
	}
}
