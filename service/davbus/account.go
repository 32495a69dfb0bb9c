package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/term"

	"davbus.org/davbus/dbusapi/client"
)

type accountCmd struct {
	Add    accountAddCmd    `cmd:"" help:"Set up an account."`
	List   accountListCmd   `cmd:"" help:"List the accounts."`
	Check  accountCheckCmd  `cmd:"" help:"Connect, log in and read the root, step by step; change nothing."`
	Set    accountSetCmd    `cmd:"" help:"Change parameters of an account."`
	Remove accountRemoveCmd `cmd:"" help:"Forget an account and its sync state. Items stay where they are."`
}

type accountAddCmd struct {
	ID          string   `arg:"" help:"A letter, then letters, digits, _ - and dots."`
	Kind        string   `arg:"" help:"dav, vdir, webcal or store."`
	Params      []string `arg:"" optional:"" name:"param" help:"NAME=VALUE; several values of a list are several NAME=VALUE. davbus-config(5) lists them, 'davbus account add ID KIND --list' too."`
	DisplayName string   `help:"A name for people."`
	List        bool     `help:"List the parameters of the kind and do nothing."`
	NoPassword  bool     `help:"Do not ask for a password now."`
}

func (c *accountAddCmd) Run(r *runtime) error {
	specs, err := r.client.Parameters(r.ctx, c.Kind)
	if err != nil {
		return err
	}
	if c.List {
		return listParameters(r, specs)
	}
	params, err := parameters(c.Kind, specs, c.Params)
	if err != nil {
		return err
	}
	opts := client.Options{}
	if c.DisplayName != "" {
		opts["display-name"] = c.DisplayName
	}
	secret := []byte(nil)
	if c.wantsPassword(specs, params) {
		if secret, err = askPassword(fmt.Sprintf("Password of %v for %s: ", params["username"], c.ID)); err != nil {
			return err
		}
	}
	path, err := r.client.AddAccount(r.ctx, c.ID, c.Kind, params, opts)
	if err != nil {
		return err
	}
	if len(secret) > 0 {
		if err := storeSecret(r, c.ID, secret); err != nil {
			return fmt.Errorf("the account was added, its password was not: %w", err)
		}
	}
	if r.json {
		return r.document(map[string]any{"account": c.ID, "path": path})
	}
	say(r.out, "Added account %s. Try it with: davbus account check %s", c.ID, c.ID)
	return nil
}

// wantsPassword says whether a person at a terminal is to be asked: the kind has
// one, a user is named, and nothing else will give it.
func (c *accountAddCmd) wantsPassword(specs []client.Props, params client.Options) bool {
	_, command := params["password-command"]
	_, user := params["username"]
	has := slices.ContainsFunc(specs, func(s client.Props) bool { return s.Str("name") == "password" && s.Bool("secret") })
	return has && user && !command && !c.NoPassword && term.IsTerminal(int(os.Stdin.Fd()))
}

func askPassword(prompt string) ([]byte, error) {
	fmt.Fprint(os.Stderr, prompt)
	secret, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(os.Stderr)
	return secret, err
}

// storeSecret prefers the keyring and falls back to this session, and says so.
func storeSecret(r *runtime, id string, secret []byte) error {
	err := r.setSecret(id, "password", secret, "")
	if err == nil {
		return nil
	}
	if e := r.setSecret(id, "password", secret, "session"); e != nil {
		return e
	}
	say(os.Stderr, "davbus: the password is kept until davbusd ends: %v", err)
	return nil
}

func listParameters(r *runtime, specs []client.Props) error {
	var rows [][]string
	var plain []map[string]any
	for _, s := range specs {
		var flags []string
		for _, f := range []string{"required", "secret"} {
			if s.Bool(f) {
				flags = append(flags, f)
			}
		}
		if d, ok := s["default"]; ok {
			flags = append(flags, fmt.Sprintf("default %v", d.Value()))
		}
		if choices := s.Strs("choices"); len(choices) > 0 {
			flags = append(flags, "one of "+strings.Join(choices, ", "))
		}
		rows = append(rows, []string{s.Str("name"), s.Str("signature"), strings.Join(flags, "; "), s.Str("summary")})
		plain = append(plain, s.Plain())
	}
	return r.list([]string{"PARAMETER", "TYPE", "", "MEANING"}, rows, plain, "This kind has no parameters.")
}

// parameters reads NAME=VALUE words by what the daemon says of the kind.
func parameters(kind string, specs []client.Props, words []string) (client.Options, error) {
	types := map[string]string{}
	for _, s := range specs {
		types[s.Str("name")] = s.Str("signature")
	}
	out := client.Options{}
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return nil, usageError(fmt.Sprintf("%q is not NAME=VALUE", word))
		}
		switch types[name] {
		case "s":
			out[name] = value
		case "as":
			list, _ := out[name].([]string)
			out[name] = append(list, value)
		case "b":
			b, err := strconv.ParseBool(value)
			if err != nil {
				return nil, usageError(fmt.Sprintf("%s wants true or false, not %q", name, value))
			}
			out[name] = b
		case "u":
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return nil, usageError(fmt.Sprintf("%s wants a whole number, not %q", name, value))
			}
			out[name] = uint32(n)
		default:
			known := slices.Sorted(maps.Keys(types))
			return nil, usageError(fmt.Sprintf("accounts of kind %s have no parameter %q; they have: %s", kind, name, strings.Join(known, ", ")))
		}
	}
	return out, nil
}

type accountListCmd struct{}

func (c *accountListCmd) Run(r *runtime) error {
	objects, err := r.client.Objects(r.ctx)
	if err != nil {
		return err
	}
	var rows [][]string
	var plain []map[string]any
	for _, p := range client.Each(objects, "Account") {
		where := p.Str("Url")
		if where == "" {
			where, _ = read(p, "Parameters")["path"].(string)
		}
		rows = append(rows, []string{p.Str("Id"), p.Str("Kind"), p.Str("State"), strconv.Itoa(len(p.Paths("Collections"))), when(p.Time("LastSuccessUSec")), where})
		plain = append(plain, p.Plain())
	}
	return r.list([]string{"ACCOUNT", "KIND", "STATE", "COLLECTIONS", "LAST SUCCESS", "WHERE"}, rows, plain,
		"There are no accounts yet. Add one: davbus account add --help")
}

func read(p client.Props, name string) map[string]any {
	m, _ := p.Plain()[name].(map[string]any)
	return m
}

type accountCheckCmd struct {
	ID string `arg:"" help:"The account."`
}

func (c *accountCheckCmd) Run(r *runtime) error {
	job, err := r.client.Check(r.ctx, c.ID)
	if err != nil {
		return err
	}
	return r.follow(job)
}

type accountSetCmd struct {
	ID     string   `arg:"" help:"The account."`
	Params []string `arg:"" name:"param" help:"NAME=VALUE to set, NAME= to put back to its default."`
}

func (c *accountSetCmd) Run(r *runtime) error {
	path := client.AccountPath(c.ID)
	var kind string
	if err := r.client.Get(r.ctx, path, client.Name+".Account", "Kind", &kind); err != nil {
		return err
	}
	specs, err := r.client.Parameters(r.ctx, kind)
	if err != nil {
		return err
	}
	var set []string
	unset := []string{}
	for _, word := range c.Params {
		if name, ok := strings.CutSuffix(word, "="); ok {
			unset = append(unset, name)
		} else {
			set = append(set, word)
		}
	}
	params, err := parameters(kind, specs, set)
	if err != nil {
		return err
	}
	return r.client.UpdateAccount(r.ctx, c.ID, params, unset)
}

type accountRemoveCmd struct {
	ID string `arg:"" help:"The account."`
}

func (c *accountRemoveCmd) Run(r *runtime) error {
	if err := r.client.RemoveAccount(r.ctx, c.ID); err != nil {
		return err
	}
	if !r.json {
		say(r.out, "Removed account %s. Its items stay where they are.", c.ID)
	}
	return nil
}
