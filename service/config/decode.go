package config

import (
	"slices"
	"strings"

	"davbus.org/davbus/engine"
)

// A parameter named "kind" is written as "collection-kind": in the file of an
// account, "kind" is the kind of the account.
const kindKey = "collection-kind"

func keyOf(param string) string {
	if param == "kind" {
		return kindKey
	}
	return param
}

func daemonOf(d *document, err error) (Daemon, error) {
	c := DefaultDaemon()
	if err != nil {
		return c, err
	}
	for _, e := range d.entries {
		var v any
		switch e.key {
		case "log-level":
			if v, err = d.valueOf(e, "s"); err == nil {
				c.LogLevel = v.(string)
				if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) {
					err = d.faultAt(e.value, "log-level is debug, info, warn or error")
				}
			}
		case "idle-exit-sec":
			if v, err = d.valueOf(e, "u"); err == nil {
				c.IdleExitSec = v.(uint32)
			}
		case "content-apps":
			if v, err = d.valueOf(e, "as"); err == nil {
				c.ContentApps = v.([]string)
			}
		case "introduction-socket":
			if v, err = d.valueOf(e, "b"); err == nil {
				c.IntroductionSocket = v.(bool)
			}
		case "ocapn-socket":
			if v, err = d.valueOf(e, "b"); err == nil {
				c.OCapNSocket = v.(bool)
			}
		default:
			err = d.unknown(e, []string{"log-level", "idle-exit-sec", "content-apps", "introduction-socket", "ocapn-socket"})
		}
		if err != nil {
			return c, err
		}
	}
	return c, nil
}

func (d *document) unknown(e entry, known []string) error {
	return d.fault(e.line, e.col, "there is no key %q here; there are: %s", e.key, strings.Join(known, ", "))
}

// accountOf reads an account. Its kind is looked for first, because it decides
// what the other keys mean.
func (f *Folder) accountOf(a engine.AccountConfig, d *document) (engine.AccountConfig, error) {
	i := slices.IndexFunc(d.entries, func(e entry) bool { return e.key == "kind" })
	if i < 0 {
		return a, d.fault(1, 1, "the key \"kind\" is missing")
	}
	kind, err := d.valueOf(d.entries[i], "s")
	if err != nil {
		return a, err
	}
	a.Kind = kind.(string)
	specs, ok := f.specs(a.Kind)
	if !ok {
		return a, d.faultAt(d.entries[i].value, "there is no account kind %q", a.Kind)
	}
	a.Params = engine.Params{}
	for _, e := range d.entries {
		switch e.key {
		case "kind":
		case "display-name":
			v, err := d.valueOf(e, "s")
			if err != nil {
				return a, err
			}
			a.DisplayName = v.(string)
		case "enabled":
			v, err := d.valueOf(e, "b")
			if err != nil {
				return a, err
			}
			a.Enabled = v.(bool)
		default:
			if err := f.paramOf(&a, d, e, specs); err != nil {
				return a, err
			}
		}
	}
	for _, s := range specs {
		if s.Required && a.Params[s.Name] == nil && a.Params[s.Name+"-command"] == nil {
			return a, d.fault(1, 1, "the key %q is missing", keyOf(s.Name))
		}
	}
	return a, nil
}

func (f *Folder) paramOf(a *engine.AccountConfig, d *document, e entry, specs []engine.ParamSpec) error {
	i := slices.IndexFunc(specs, func(s engine.ParamSpec) bool { return keyOf(s.Name) == e.key })
	if i < 0 {
		return d.unknown(e, accountKeys(specs))
	}
	s := specs[i]
	if s.Secret {
		return d.fault(e.line, e.col, "%q is a secret, and no file holds one: use %s-command, the keyring, or davbus account add", s.Name, s.Name)
	}
	v, err := d.valueOf(e, s.Signature)
	if err != nil {
		return err
	}
	for _, given := range listOf(v) {
		if len(s.Choices) > 0 && !slices.Contains(s.Choices, given) {
			return d.faultAt(e.value, "%q is one of %s, not %q", e.key, strings.Join(s.Choices, ", "), given)
		}
	}
	a.Params[s.Name] = v
	return nil
}

func listOf(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []string:
		return v
	}
	return nil
}

func accountKeys(specs []engine.ParamSpec) []string {
	names := []string{"kind", "display-name", "enabled"}
	for _, s := range specs {
		if !s.Secret {
			names = append(names, keyOf(s.Name))
		}
	}
	return names
}

// A groupKey is one key of a group's file and where it lies.
type groupKey struct {
	name  string
	field any
}

func groupKeys(g *engine.GroupConfig) []groupKey {
	return []groupKey{
		{"members", &g.Members}, {"create-missing", &g.CreateMissing}, {"direction", &g.Direction},
		{"conflict-policy", &g.ConflictPolicy}, {"conflict-command", &g.ConflictCommand},
		{"read-only-policy", &g.ReadOnlyPolicy}, {"interval-sec", &g.IntervalSec},
		{"hold-items", &g.HoldItems}, {"hold-percent", &g.HoldPercent}, {"enabled", &g.Enabled},
	}
}

func groupOf(g engine.GroupConfig, d *document) (engine.GroupConfig, error) {
	fields := groupKeys(&g)
	members := false
	for _, e := range d.entries {
		i := slices.IndexFunc(fields, func(k groupKey) bool { return k.name == e.key })
		if i < 0 {
			var names []string
			for _, k := range fields {
				names = append(names, k.name)
			}
			return g, d.unknown(e, names)
		}
		members = members || e.key == "members"
		if err := d.into(e, fields[i].field); err != nil {
			return g, err
		}
	}
	if !members {
		return g, d.fault(1, 1, "the key \"members\" is missing")
	}
	return g, nil
}

func (d *document) into(e entry, field any) error {
	var v any
	var err error
	switch to := field.(type) {
	case *string:
		if v, err = d.valueOf(e, "s"); err == nil {
			*to = v.(string)
		}
	case *bool:
		if v, err = d.valueOf(e, "b"); err == nil {
			*to = v.(bool)
		}
	case *uint32:
		if v, err = d.valueOf(e, "u"); err == nil {
			*to = v.(uint32)
		}
	case *[]string:
		if v, err = d.valueOf(e, "as"); err == nil {
			*to = v.([]string)
		}
	}
	return err
}
