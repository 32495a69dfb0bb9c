package service

import (
	"sync/atomic"

	"github.com/rs/zerolog"
)

// A levelBox is the level of the log, which may change at any time.
type levelBox struct{ level atomic.Int32 }

// Run is how zerolog asks.
func (b *levelBox) Run(e *zerolog.Event, level zerolog.Level, _ string) {
	if level < zerolog.Level(b.level.Load()) {
		e.Discard()
	}
}

func (b *levelBox) set(word string) {
	level, err := zerolog.ParseLevel(word)
	if err != nil || level == zerolog.NoLevel {
		level = zerolog.InfoLevel
	}
	b.level.Store(int32(level))
}

func (b *levelBox) syslog() string {
	switch zerolog.Level(b.level.Load()) {
	case zerolog.DebugLevel, zerolog.TraceLevel:
		return "debug"
	case zerolog.InfoLevel:
		return "info"
	case zerolog.WarnLevel:
		return "warning"
	}
	return "err"
}
