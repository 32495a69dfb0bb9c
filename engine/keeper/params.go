package keeper

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
)

// goodID reports whether an id is a letter, then up to 63 of A-Za-z0-9_-. .
func goodID(id string) bool {
	for i, c := range []byte(id) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		rest := c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
		if !letter && (i == 0 || !rest) {
			return false
		}
	}
	return id != "" && len(id) <= 64
}

// checkID refuses an id of the wrong form.
func checkID(op, id string) error {
	if goodID(id) {
		return nil
	}
	return engine.Fail(engine.Invalid, op, id, "an id is a letter, then up to 63 of A-Z a-z 0-9 _ - and .")
}

// checkAccount checks the syntax of an account: kind, names and types of its
// parameters, and that what is required is there. It asks nobody.
func (k *Keeper) checkAccount(op string, cfg engine.AccountConfig) error {
	if err := checkID(op, string(cfg.ID)); err != nil {
		return err
	}
	kind, ok := (*k.kinds.Load())[cfg.Kind]
	if !ok {
		return engine.Fail(engine.NotSupported, op, string(cfg.ID), "there is no account kind %q; there are: %s",
			cfg.Kind, strings.Join(k.kindNames(), ", "))
	}
	if err := checkParams(kind.Params, cfg.Params); err != nil {
		return engine.Fail(engine.Invalid, op, string(cfg.ID), "%w", err)
	}
	if kind.Syntax != nil {
		if err := kind.Syntax(cfg.Params); err != nil {
			return engine.Fail(engine.Invalid, op, string(cfg.ID), "%w", err)
		}
	}
	return nil
}

func checkParams(specs []engine.ParamSpec, params engine.Params) error {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		i := slices.IndexFunc(specs, func(s engine.ParamSpec) bool { return s.Name == name })
		if i < 0 {
			return fmt.Errorf("there is no parameter %q; there are: %s", name, specNames(specs))
		}
		if err := checkParam(specs[i], params[name]); err != nil {
			return err
		}
	}
	for _, s := range specs {
		if v, ok := params[s.Name]; s.Required && (!ok || v == "") && params[s.Name+"-command"] == nil {
			return fmt.Errorf("the parameter %q is required", s.Name)
		}
	}
	return nil
}

func checkParam(spec engine.ParamSpec, value any) error {
	if spec.Secret {
		return fmt.Errorf("%q is a secret and is never a plain parameter; use SetSecret, the keyring or %s-command", spec.Name, spec.Name)
	}
	if got := engine.Signature(value); got != spec.Signature {
		return fmt.Errorf("the parameter %q has the type %q, not %q", spec.Name, spec.Signature, got)
	}
	given, many := value.([]string)
	if s, ok := value.(string); ok {
		given = []string{s}
	}
	if many && spec.Command && (len(given) == 0 || given[0] == "") {
		return fmt.Errorf("the parameter %q needs the name of a program", spec.Name)
	}
	for _, s := range given {
		if strings.ContainsRune(s, 0) {
			return fmt.Errorf("the parameter %q holds a NUL byte", spec.Name)
		}
		if len(spec.Choices) > 0 && !slices.Contains(spec.Choices, s) {
			return fmt.Errorf("the parameter %q is one of %s, not %q", spec.Name, strings.Join(spec.Choices, ", "), s)
		}
	}
	if spec.Name == "url" && len(given) == 1 {
		return checkURL(given[0])
	}
	return nil
}

// checkURL refuses a URL that carries a user or a password: parameters are read
// by every program on the bus. The error does not repeat it.
func checkURL(s string) error {
	if !strings.Contains(s, "://") { // a bare domain, or user@host to be discovered
		if name, _, ok := strings.Cut(s, "@"); ok && strings.Contains(name, ":") {
			return fmt.Errorf("the parameter \"url\" must not hold a password")
		}
		return nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("the parameter \"url\" is no URL")
	}
	if u.User != nil {
		return fmt.Errorf("the parameter \"url\" must not hold a user name or a password; use the parameter \"username\" and SetSecret")
	}
	return nil
}

func specNames(specs []engine.ParamSpec) string {
	var names []string
	for _, s := range specs {
		if !s.Secret {
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, ", ")
}

// cloneParams makes a copy that shares nothing.
func cloneParams(p engine.Params) engine.Params {
	c := make(engine.Params, len(p))
	for name, v := range p {
		if list, ok := v.([]string); ok {
			v = slices.Clone(list)
		}
		c[name] = v
	}
	return c
}

func stringParam(p engine.Params, name string) string { s, _ := p[name].(string); return s }
func boolParam(p engine.Params, name string) bool     { b, _ := p[name].(bool); return b }
func listParam(p engine.Params, name string) []string { l, _ := p[name].([]string); return l }

// Parameters describes the parameters of a kind of account.
func (k *Keeper) Parameters(kind string) ([]engine.ParamSpec, error) {
	found, ok := (*k.kinds.Load())[kind]
	if !ok {
		return nil, engine.Fail(engine.NotSupported, "describe the kind", kind, "there are: %s",
			strings.Join(k.kindNames(), ", "))
	}
	return slices.Clone(found.Params), nil
}
