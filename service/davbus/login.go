package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"davbus.org/davbus/dbusapi/client"
)

type loginCmd struct {
	Account string `arg:"" help:"The account."`
	Session bool   `help:"Keep it until davbusd ends, not in the keyring."`
}

// Run tries a password before it replaces the one that is kept.
func (c *loginCmd) Run(r *runtime) error {
	var p map[string]any
	if params, err := r.accountParameters(c.Account); err != nil {
		return err
	} else {
		p = params
	}
	user, _ := p["username"].(string)
	if user == "" {
		user = c.Account
	}
	secret, err := readSecretLine(fmt.Sprintf("Password of %s for %s: ", printable(user), c.Account))
	if err != nil {
		return err
	}
	defer clear(secret)
	if err := r.setSecret(c.Account, "password", secret, "session"); err != nil {
		return err
	}
	job, err := r.client.Check(r.ctx, c.Account)
	if err != nil {
		return err
	}
	if err := r.follow(job); err != nil {
		return err
	}
	if r.code != exitSuccess {
		return r.client.ForgetSecret(r.ctx, c.Account, "password", client.Options{"store": "session"})
	}
	if c.Session {
		return nil
	}
	return storeSecret(r, c.Account, secret)
}

// readSecretLine asks a person at a terminal; elsewhere it reads one line.
func readSecretLine(prompt string) (secret []byte, err error) {
	if term.IsTerminal(int(os.Stdin.Fd())) {
		secret, err = askPassword(prompt)
	} else {
		secret, err = bufio.NewReader(io.LimitReader(os.Stdin, 32<<10)).ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if n := len(secret); n > 0 && secret[n-1] == '\n' {
			secret = secret[:n-1]
		}
	}
	if err == nil && len(secret) == 0 {
		err = usageError("no password was given")
	}
	return secret, err
}

func (r *runtime) accountParameters(id string) (map[string]any, error) {
	var all client.Options
	err := r.client.Get(r.ctx, client.AccountPath(id), client.Name+".Account", "Parameters", &all)
	return all, err
}

type logoutCmd struct {
	Account string `arg:"" help:"The account."`
}

func (c *logoutCmd) Run(r *runtime) error {
	if err := r.client.ForgetSecret(r.ctx, c.Account, "password", nil); err != nil {
		return err
	}
	if !r.json {
		say(r.out, "The password of %s is forgotten, in memory and in the keyring.", c.Account)
	}
	return nil
}
