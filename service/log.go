package service

import (
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/feed"
	"davbus.org/davbus/service/config"
)

// log is the only logger. What happens it learns from the feed, as everybody
// else does; it names accounts, groups, jobs and reasons, never items' content.
type log struct {
	out    zerolog.Logger
	level  *levelBox
	target string
	fixed  bool // the level was given when the daemon was started
	known  map[string]string
	recent *recent
}

// newLog makes the logger. asked is the level of the command line, "" for what
// the configuration says.
func newLog(to io.Writer, asked string, daemon config.Daemon, s *secrets) *log {
	target := "console"
	if os.Getenv("JOURNAL_STREAM") != "" {
		target = "journal"
	}
	kept := &recent{}
	console := zerolog.ConsoleWriter{Out: redactor{io.MultiWriter(kept, to), s}, NoColor: true, TimeFormat: time.DateTime}
	if target == "journal" {
		console.PartsExclude = []string{zerolog.TimestampFieldName} // it has its own
	}
	l := &log{level: &levelBox{}, target: target, fixed: asked != "", known: map[string]string{}, recent: kept}
	l.out = zerolog.New(console).With().Timestamp().Logger().Hook(l.level)
	l.level.set(daemon.LogLevel)
	if l.fixed {
		l.level.set(asked)
	}
	return l
}

// redactor keeps secrets out of the log, whoever let one into an error text.
type redactor struct {
	to io.Writer
	s  *secrets
}

func (r redactor) Write(p []byte) (int, error) {
	if _, err := io.WriteString(r.to, r.s.redact(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (l *log) say(text string)              { l.out.Info().Msg(text) }
func (l *log) fault(text string, err error) { l.out.Warn().Err(err).Msg(text) }

// plugin passes on what a plugin says; its words are text, whatever they hold.
func (l *log) plugin(account, level, text string) {
	e := l.out.Info()
	switch level {
	case "debug":
		e = l.out.Debug()
	case "warn", "error":
		e = l.out.Warn()
	}
	e.Str("account", account).Str("says", text).Msg("plugin")
}

// program passes on what the program of a route writes to its standard error.
func (l *log) program(account, text string) {
	l.out.Info().Str("account", account).Str("says", text).Msg("route")
}

// configured takes the level of a configuration that was loaded anew, unless the
// command line named one.
func (l *log) configured(d config.Daemon) {
	if !l.fixed {
		l.level.set(d.LogLevel)
	}
}

// Level, SetLevel and Target are those of org.freedesktop.LogControl1, in the
// words of syslog.
func (l *log) Level() string  { return l.level.syslog() }
func (l *log) Target() string { return l.target }

func (l *log) SetLevel(level string) error {
	words := map[string]string{
		"emerg": "error", "alert": "error", "crit": "error", "err": "error",
		"warning": "warn", "notice": "info", "info": "info", "debug": "debug",
	}
	word, ok := words[level]
	if !ok {
		return engine.Fail(engine.Invalid, "set the log level", level, "there is no such level")
	}
	l.level.set(word)
	return nil
}

// follow logs what happens until ctx ends.
func (l *log) follow(ctx context.Context, events *feed.Sub) {
	defer events.Close()
	for {
		n, err := events.Next(ctx)
		if err != nil {
			return
		}
		l.event(n.Event)
	}
}

func (l *log) event(e engine.Event) {
	switch e := e.(type) {
	case engine.AccountChanged:
		l.changed("account "+string(e.State.ID), e.State.State, e.State.Failure)
	case engine.GroupChanged:
		l.changed("group "+string(e.State.ID), e.State.State, e.State.Failure)
	case engine.Attention:
		l.out.Warn().Str("account", string(e.Account)).Str("group", string(e.Group)).Str("kind", e.Failure.Kind.String()).
			Msg("needs attention: " + e.Failure.Message)
	case engine.JobChanged:
		l.job(e.State)
	case engine.ConflictChanged:
		l.out.Debug().Str("group", string(e.State.Group)).Str("conflict", e.State.ID).Msg("conflict " + e.State.State)
	case engine.AccountGone:
		l.out.Info().Str("account", string(e.ID)).Msg("removed")
	case engine.GroupGone:
		l.out.Info().Str("group", string(e.ID)).Msg("removed")
	}
}

// changed logs a failure once, and that it is over.
func (l *log) changed(what, state string, f engine.Failure) {
	now := ""
	if f.Set {
		now = f.Kind.String()
	}
	if l.known[what] == now {
		return
	}
	l.known[what] = now
	if f.Set {
		l.out.Warn().Str("state", state).Msg(what + ": " + f.Message)
	} else {
		l.out.Info().Str("state", state).Msg(what + ": well again")
	}
}

func (l *log) job(s *engine.JobState) {
	e := l.out.Debug()
	if s.State == engine.StateDone && (s.Result != engine.Success || s.Report.Counts != (engine.Counts{})) {
		e = l.out.Info()
	}
	e = e.Uint32("job", uint32(s.ID)).Str("kind", s.Kind).Str("by", s.Initiator)
	if s.State != engine.StateDone {
		e.Msg("job " + s.State)
		return
	}
	c := s.Report.Counts
	e = e.Uint32("added", c.Added).Uint32("modified", c.Modified).Uint32("removed", c.Removed).
		Uint32("failed", c.Failed).Uint32("conflicts", c.Conflicts).Uint32("held", c.Held)
	e.Msg(strings.TrimSuffix("job "+s.Result+": "+s.Failure.Message, ": "))
}
