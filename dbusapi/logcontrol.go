package dbusapi

import (
	"slices"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

// logLevels are those of syslog, which systemd speaks.
var logLevels = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

func (f *Face) logControl() tree.Interface {
	return tree.Interface{Name: ifLog, Properties: map[string]tree.Property{
		"LogLevel": {
			Get: func() any { return text(f.log.Level()) },
			Set: func(_ tree.Call, v dbus.Variant) error {
				level := v.Value().(string)
				if !slices.Contains(logLevels, level) {
					return invalid("set the log level", "%q is none; there are %s", level, quoted(logLevels))
				}
				return f.log.SetLevel(level)
			},
		},
		"LogTarget": {
			Get: func() any { return text(f.log.Target()) },
			Set: func(_ tree.Call, v dbus.Variant) error {
				if v.Value() == f.log.Target() {
					return nil
				}
				return engine.Fail(engine.NotSupported, "set the log target", "", "it is chosen when davbusd starts; now it is %q", f.log.Target())
			},
		},
		"SyslogIdentifier": {Get: func() any { return "davbusd" }},
	}}
}
