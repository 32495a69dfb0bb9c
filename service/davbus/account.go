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
	Add      accountAddCmd      `cmd:"" help:"Set up an account."`
	List     accountListCmd     `cmd:"" help:"List the accounts."`
	Show     accountShowCmd     `cmd:"" help:"Everything about an account: parameters, state, collections."`
	Discover accountDiscoverCmd `cmd:"" help:"Look for its collections again."`
	Check    accountCheckCmd    `cmd:"" help:"Connect, log in and read the root, step by step; change nothing."`
	Set      accountSetCmd      `cmd:"" help:"Change parameters of an account."`
	Remove   accountRemoveCmd   `cmd:"" help:"Forget an account and its sync state. Items stay where they are."`
}

type accountAddCmd struct {
	ID          string   `arg:"" help:"A letter, then letters, digits, _ - and dots."`
	Kind        string   `arg:"" help:"dav, vdir, webcal, store, or plugin:ID: 'davbus plugin list' has the plugins."`
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
	params, unset, err := parameters(c.Kind, specs, c.Params)
	if err != nil {
		return err
	}
	if len(unset) > 0 {
		return usageError(unset[0] + "= has no value")
	}
	opts := client.Options{}
	for _, own := range ownSettings {
		if v, given := params[own.name]; given {
			opts[own.name] = v
			delete(params, own.name)
		}
	}
	if c.DisplayName != "" {
		opts["display-name"] = c.DisplayName
	}
	secret := []byte(nil)
	wants, asks := c.wantsPassword(specs, params), term.IsTerminal(int(os.Stdin.Fd()))
	if wants && asks {
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
	if wants && !asks {
		say(os.Stderr, "davbus: no password was asked for, since the standard input is no terminal; give it with: davbus login %s", c.ID)
	}
	if r.json {
		return r.document(map[string]any{"account": c.ID, "path": path})
	}
	say(r.out, "Added account %s. Try it with: davbus account check %s", c.ID, c.ID)
	return nil
}

// wantsPassword says whether a person is to be asked: the kind has one, a user is
// named, and nothing else will give it.
func (c *accountAddCmd) wantsPassword(specs []client.Props, params client.Options) bool {
	_, command := params["password-command"]
	_, user := params["username"]
	has := slices.ContainsFunc(specs, func(s client.Props) bool { return s.Str("name") == "password" && s.Bool("secret") })
	return has && user && !command && !c.NoPassword
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
func parameters(kind string, specs []client.Props, words []string) (set client.Options, unset []string, err error) {
	types := map[string]string{}
	for _, own := range ownSettings {
		types[own.name] = own.signature
	}
	for _, s := range specs {
		if !s.Bool("secret") {
			types[s.Str("name")] = s.Str("signature")
		}
	}
	return settings("an account of kind "+kind, types, words)
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

type accountShowCmd struct {
	ID string `arg:"" help:"The account."`
}

func (c *accountShowCmd) Run(r *runtime) error {
	p, err := r.client.Account(r.ctx, c.ID)
	if err != nil {
		return err
	}
	objects, err := r.client.Objects(r.ctx)
	if err != nil {
		return err
	}
	collections := [][]string{}
	for path, coll := range client.Each(objects, "Collection") {
		if coll.Path("Account") == client.AccountPath(c.ID) {
			collections = append(collections, collectionRow(client.IDOf(path), coll))
		}
	}
	if r.json {
		return r.document(p.Plain())
	}
	r.facts(p, []fact{{"kind", "Kind"}, {"name", "DisplayName"}, {"enabled", "Enabled"}, {"managed", "Managed"},
		{"state", "State"}, {"error", "ErrorMessage"}, {"last success", "LastSuccessUSec"}, {"password", "SecretState"},
		{"reached by", "Transport"}, {"at", "TransportAddress"}, {"capabilities", "Capabilities"}})
	say(r.out, "parameters:")
	params := read(p, "Parameters")
	for _, name := range slices.Sorted(maps.Keys(params)) {
		say(r.out, "  %s: %s", name, printable(fmt.Sprint(params[name])))
	}
	return r.list(collectionHead, collections, nil, "It has no collections yet; 'davbus account discover "+c.ID+"' looks for them.")
}

type accountDiscoverCmd struct {
	ID         string `arg:"" help:"The account."`
	ForgetGone bool   `help:"Let collections go that vanished. Their items stay in the other members."`
}

func (c *accountDiscoverCmd) Run(r *runtime) error {
	o := client.Options{}
	if c.ForgetGone {
		o["forget-gone"] = true
	}
	job, err := r.client.Discover(r.ctx, c.ID, o)
	if err != nil {
		return err
	}
	return r.follow(job)
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

// ownSettings are no parameters of a kind but properties of every account.
var ownSettings = []struct {
	name, signature, property string
	usual                     any
}{{"display-name", "s", "DisplayName", ""}, {"enabled", "b", "Enabled", true}}

type accountSetCmd struct {
	ID     string   `arg:"" help:"The account."`
	Params []string `arg:"" name:"param" help:"NAME=VALUE to set, NAME= to put back to its default."`
}

func (c *accountSetCmd) Run(r *runtime) error {
	account, err := r.client.Account(r.ctx, c.ID)
	if err != nil {
		return err
	}
	kind := account.Str("Kind")
	specs, err := r.client.Parameters(r.ctx, kind)
	if err != nil {
		return err
	}
	set, unset, err := parameters(kind, specs, c.Params)
	if err != nil {
		return err
	}
	for _, own := range ownSettings {
		v, given := set[own.name]
		if i := slices.Index(unset, own.name); i >= 0 {
			unset = slices.Delete(unset, i, i+1)
			v, given = own.usual, true
		}
		delete(set, own.name)
		if !given {
			continue
		}
		if err := r.client.Set(r.ctx, client.AccountPath(c.ID), client.Name+".Account", own.property, v); err != nil {
			return err
		}
	}
	if len(set)+len(unset) == 0 {
		return nil
	}
	return r.client.UpdateAccount(r.ctx, c.ID, set, unset)
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
