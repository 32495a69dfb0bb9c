package engine_test

import (
	"errors"
	"testing"

	"davbus.org/davbus/engine"
)

func TestAnErrorSaysEachKindOnceAndNearestToTheCause(t *testing.T) {
	cause := errors.New("the keyring has no such secret")
	read := &engine.Error{Op: "read the password of", On: "work", Kind: engine.AuthRequired, Err: cause}
	for _, c := range []struct {
		err  *engine.Error
		want string
	}{
		{read, "cannot read the password of work: password needed: the keyring has no such secret"},
		{&engine.Error{Op: "log in", Kind: engine.AuthRequired, Err: read},
			"cannot log in: cannot read the password of work: password needed: the keyring has no such secret"},
		{&engine.Error{Op: "check", Kind: engine.Offline, Err: read},
			"cannot check: offline: cannot read the password of work: password needed: the keyring has no such secret"},
		{&engine.Error{Op: "list", Kind: engine.Timeout}, "cannot list: timed out"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
