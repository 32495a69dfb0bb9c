package keeper

import (
	"reflect"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
)

func TestIdsHaveTheirForm(t *testing.T) {
	for id, good := range map[string]bool{
		"a": true, "Work-2_x.y": true, "a" + strings.Repeat("0", 63): true,
		"": false, "1a": false, "-a": false, "a b": false, "ä": false, "a/b": false, "a" + strings.Repeat("0", 64): false, "a\x00": false,
	} {
		if goodID(id) != good {
			t.Errorf("%q: good is %v", id, !good)
		}
	}
}

func TestAnAccountIsCheckedAndNamesWhatIsWrong(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start([]engine.AccountConfig{memoryAccount("a"), memoryAccount("b")}, []engine.GroupConfig{groupOf("g", "a", "b")})
		for _, c := range []struct {
			cfg  engine.AccountConfig
			kind engine.Kind
			part string
		}{
			{memoryAccount("1x"), engine.Invalid, "a letter, then up to 63"},
			{engine.AccountConfig{ID: "x", Kind: "caldav"}, engine.NotSupported, "founded, memory, needy"},
			{memoryAccount("x", "usrname", "me"), engine.Invalid, "there are: url, kind, collections"},
			{memoryAccount("x", "url", true), engine.Invalid, `has the type "s", not "b"`},
			{memoryAccount("x", "interval-sec", "9"), engine.Invalid, `has the type "u", not "s"`},
			{memoryAccount("x", "password", "hunter2"), engine.Invalid, "is a secret"},
			{memoryAccount("x", "kind", "todo"), engine.Invalid, "is one of calendar, addressbook"},
			{memoryAccount("x", "url", "https://me:hunter2@h/"), engine.Invalid, "must not hold a user name or a password"},
			{memoryAccount("x", "url", "https://me@h/"), engine.Invalid, "must not hold a user name"},
			{memoryAccount("x", "url", "me:hunter2@h"), engine.Invalid, "must not hold a password"},
			{memoryAccount("x", "url", "https://h/\x00"), engine.Invalid, "NUL"},
			{memoryAccount("x", "password-command", []string{}), engine.Invalid, "needs the name of a program"},
			{engine.AccountConfig{ID: "x", Kind: "needy"}, engine.Invalid, `"path" is required`},
			{memoryAccount("a"), engine.AlreadyExists, "an account has this id"},
			{memoryAccount("g"), engine.AlreadyExists, "one name space"},
		} {
			_, err := r.k.AddAccount(c.cfg, false)
			r.refuse(err, c.kind, c.part)
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats the secret: %v", err)
			}
		}
		if r.store.names() != "" || len(r.k.Snapshot().Accounts) != 2 {
			t.Errorf("something was added: %s", r.store.names())
		}
		for _, url := range []string{"https://h/p", "me@example.org", "example.org", ""} {
			if _, err := r.k.AddAccount(memoryAccount("", "url", url), false); err != nil {
				t.Errorf("%q: %v", url, err)
			}
		}
		if got := r.store.names(); got != "a memory, a memory-2, a memory-3, a memory-4" {
			t.Errorf("ids that were chosen: %s", got)
		}
	})
}

func TestWhatACallerPassesIsNotShared(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start(nil, nil)
		params := engine.Params{"collections": []string{"x"}}
		if _, err := r.k.AddAccount(engine.AccountConfig{ID: "a", Kind: "memory", Params: params}, false); err != nil {
			t.Fatal(err)
		}
		params["collections"].([]string)[0] = "y"
		params["url"] = "z"
		if got := r.acct("a").Params; !reflect.DeepEqual(got, engine.Params{"collections": []string{"x"}}) {
			t.Errorf("got %v", got)
		}
	})
}
