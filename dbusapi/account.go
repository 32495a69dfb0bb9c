package dbusapi

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
	"davbus.org/davbus/engine"
)

func (f *Face) account(id engine.AccountID) tree.Interface {
	return tree.Interface{Name: ifAccount, Methods: map[string]any{
		"Sync":     func(c tree.Call, in dict) (dbus.ObjectPath, error) { return f.managerSync(c, name(string(id)), in) },
		"Discover": func(c tree.Call, in dict) (dbus.ObjectPath, error) { return f.discover(c, id, in) },
		"Check":    func(c tree.Call, in dict) (dbus.ObjectPath, error) { return f.check(c, id, in) },
		"Update": func(c tree.Call, set dict, unset []string, in dict) ([]string, error) {
			return f.updateAccount(c, id, set, unset, in)
		},
		"SetSecret": func(c tree.Call, secret string, file *os.File, in dict) error {
			return f.setSecret(c, id, secret, file, in)
		},
		"ForgetSecret": func(secret string, in dict) error { return f.forgetSecret(id, secret, in) },
		"CreateCollection": func(c tree.Call, collection, kind string, in dict) (dbus.ObjectPath, error) {
			return f.createCollection(c, id, collection, kind, in)
		},
		"ServePlugin": func(c tree.Call, in dict) (dbus.ObjectPath, error) { return f.servePlugin(c, id, in) },
		"OpenProxy":   func(c tree.Call, in dict) (dbus.ObjectPath, error) { return f.openProxy(c, id, in) },
		"Remove":      func(in dict) error { return f.removeAccount(id, in) },
	}, Properties: map[string]tree.Property{
		"DisplayName": {Set: func(_ tree.Call, v dbus.Variant) error {
			if !inLines(v.Value()) {
				return invalid("set the name of "+name(string(id)), "it must not hold control characters")
			}
			return f.done(f.host.SetAccountName(id, v.Value().(string)))
		}},
		"Enabled": {Set: func(_ tree.Call, v dbus.Variant) error {
			return f.done(f.host.EnableAccount(id, v.Value().(bool)))
		}},
	}}
}

func (f *Face) discover(c tree.Call, id engine.AccountID, in dict) (dbus.ObjectPath, error) {
	o := readOptions("discover the collections of "+name(string(id)), in)
	forget := o.bool("forget-gone", false)
	if err := o.end(); err != nil {
		return "/", err
	}
	who := f.caller(c)
	job, err := f.bonds.start(who, false, func() (engine.JobID, error) { return f.host.Discover(id, forget, who) })
	return jobPath(job), err
}

func (f *Face) check(c tree.Call, id engine.AccountID, in dict) (dbus.ObjectPath, error) {
	op := "check " + name(string(id))
	o := readOptions(op, in)
	given := o.dict("parameters")
	if err := o.end(); err != nil {
		return "/", err
	}
	who := f.caller(c)
	var try engine.Params
	if o.has("parameters") {
		var err error
		if try, err = f.paramsOf(op, id, given, who); err != nil {
			return "/", err
		}
	}
	job, err := f.bonds.start(who, false, func() (engine.JobID, error) { return f.host.Check(id, try, who) })
	return jobPath(job), err
}

// paramsOf reads parameters for an account that exists.
func (f *Face) paramsOf(op string, id engine.AccountID, given dict, who Caller) (engine.Params, error) {
	kind, specs, err := f.specsOf(op, id)
	if err != nil {
		return nil, err
	}
	return readParams(op, kind, specs, given, who)
}

func (f *Face) specsOf(op string, id engine.AccountID) (kind string, specs []engine.ParamSpec, err error) {
	f.view.read(func() {
		if a := f.view.accounts[id]; a != nil {
			kind = a.Kind
		}
	})
	if kind == "" {
		return "", nil, engine.Fail(engine.NotFound, op, "", "the account has just been removed")
	}
	specs, err = f.host.Parameters(kind)
	return kind, specs, err
}

func (f *Face) updateAccount(c tree.Call, id engine.AccountID, given dict, unset []string, in dict) ([]string, error) {
	op := "change account " + name(string(id))
	if err := noOptions(op, in); err != nil {
		return nil, err
	}
	kind, specs, err := f.specsOf(op, id)
	if err != nil {
		return nil, err
	}
	set, err := readParams(op, kind, specs, given, f.caller(c))
	if err != nil {
		return nil, err
	}
	for _, key := range unset {
		spec, err := specOf(op, kind, specs, key)
		if err != nil {
			return nil, err
		}
		if _, twice := set[key]; twice {
			return nil, invalid(op, "parameter %q is both set and unset", key)
		}
		if spec.Required && set[key+"-command"] == nil {
			return nil, invalid(op, "parameter %q is required and cannot be unset", key)
		}
	}
	waiting, err := f.host.UpdateAccount(id, set, unset)
	return texts(waiting), f.done(err)
}

func (f *Face) setSecret(c tree.Call, id engine.AccountID, secret string, file *os.File, in dict) error {
	defer file.Close()
	op := "store a secret of " + name(string(id))
	o := readOptions(op, in)
	store := o.choice("store", "keyring", "session")
	if err := o.end(); err != nil {
		return err
	}
	if err := f.isSecret(op, id, secret); err != nil {
		return err
	}
	value, err := readSecret(c.Context(), file, readTime)
	if err != nil {
		return err
	}
	defer clear(value)
	return f.done(f.host.SetSecret(id, secret, value, store))
}

// isSecret refuses a name that no parameter with the flag secret has.
func (f *Face) isSecret(op string, id engine.AccountID, secret string) error {
	kind, specs, err := f.specsOf(op, id)
	if err != nil {
		return err
	}
	var known []string
	for _, s := range specs {
		if s.Secret && s.Name == secret {
			return nil
		}
		if s.Secret {
			known = append(known, s.Name)
		}
	}
	if len(known) == 0 {
		return invalid(op, "kind %q has no secrets", kind)
	}
	return invalid(op, "%q is no secret of kind %q; there are %s", secret, kind, quoted(known))
}

func (f *Face) forgetSecret(id engine.AccountID, secret string, in dict) error {
	op := "forget a secret of " + name(string(id))
	o := readOptions(op, in)
	store := o.choice("store", "keyring", "session")
	if err := o.end(); err != nil {
		return err
	}
	if err := f.isSecret(op, id, secret); err != nil {
		return err
	}
	return f.done(f.host.ForgetSecret(id, secret, store))
}

// createTime bounds the one method that talks to a server before it replies;
// callers give up after 25 seconds.
const createTime = 20 * time.Second

func (f *Face) createCollection(c tree.Call, account engine.AccountID, id, kind string, in dict) (dbus.ObjectPath, error) {
	op := "make a collection in " + name(string(account))
	o := readOptions(op, in)
	made := engine.Collection{ID: unname(id), Name: unname(id), Kind: kind, Components: o.strings("components"), Meta: engine.Meta{}}
	for _, key := range []engine.MetaKey{engine.MetaName, engine.MetaColor, engine.MetaDescription} {
		read := o.line
		if key == engine.MetaDescription { // may be several
			read = o.string
		}
		if value := read(string(key), ""); o.has(string(key)) {
			made.Meta[key] = value
		}
	}
	if err := o.end(); err != nil {
		return "/", err
	}
	if kind != engine.Calendar && kind != engine.AddressBook {
		return "/", invalid(op, "%q is no kind of collection; there are %q and %q", kind, engine.Calendar, engine.AddressBook)
	}
	if made.ID == "" || len(made.ID) > 255 || slices.ContainsFunc([]byte(made.ID), func(b byte) bool { return b == '/' || b < ' ' || b == 0x7f }) {
		return "/", invalid(op, "%q is no id of a collection: it must have 1 to 255 bytes, and no slash and no control character among them", id)
	}
	ctx, cancel := context.WithTimeout(c.Context(), createTime)
	defer cancel()
	member, err := f.host.CreateCollection(ctx, account, made)
	return collectionPath(member), f.done(err)
}

func (f *Face) removeAccount(id engine.AccountID, in dict) error {
	o := readOptions("remove account "+name(string(id)), in)
	forget := o.bool("forget-secrets", true)
	if err := o.end(); err != nil {
		return err
	}
	return f.done(f.host.RemoveAccount(id, forget))
}
