package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
)

type agentCmd struct {
	Keep bool `help:"Keep the passwords in the keyring once the server has taken them; else until davbusd ends."`
}

func (c *agentCmd) Run(r *runtime) error {
	if r.remote != nil {
		return usageError("an agent hands over passwords in descriptors, which ssh does not carry; run it there: ssh -t HOST davbus agent")
	}
	o := client.Options{"store": "session"}
	if c.Keep {
		o["store"] = "keyring"
	}
	t := newTerminal(r.client, os.Stdin, r.out)
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	t.closed = cancel // nobody can answer any more
	return r.client.ServeAgent(ctx, t, o, func() { say(os.Stderr, "Questions of davbus are asked here. ^C ends it.") })
}

// A terminal is an agent that asks a person, one question at a time.
type terminal struct {
	client *client.Client
	out    io.Writer
	lines  <-chan string
	turn   chan struct{} // holds a token while nothing is asked
	hide   func() (show func())
	closed func()
}

func newTerminal(c *client.Client, in *os.File, out io.Writer) *terminal {
	lines := make(chan string)
	t := &terminal{client: c, out: out, lines: lines, turn: make(chan struct{}, 1), hide: func() func() { return hideTyping(in) }, closed: func() {}}
	t.turn <- struct{}{}
	go func() { // ends with the input, or with the process
		defer close(lines)
		s := bufio.NewScanner(in)
		for s.Scan() {
			lines <- s.Text()
		}
	}()
	return t
}

var errClosed = errors.New("nobody is at the terminal any more")

// ask asks for one line. Who sends an empty one says no.
func (t *terminal) ask(ctx context.Context, secret bool, question string) (string, error) {
	select {
	case <-t.turn:
		defer func() { t.turn <- struct{}{} }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if secret {
		defer t.hide()()
	}
	fmt.Fprint(t.out, question)
	select {
	case line, ok := <-t.lines:
		if secret || !ok {
			fmt.Fprintln(t.out)
		}
		switch {
		case !ok:
			t.closed()
			return "", errClosed
		case line == "":
			return "", client.ErrNo
		}
		return line, nil
	case <-ctx.Done():
		fmt.Fprintln(t.out, "\n(The question is no longer open.)")
		return "", ctx.Err()
	}
}

func (t *terminal) Secret(ctx context.Context, account, name, reason string, d client.Props) ([]byte, error) {
	why := map[string]string{
		"missing": "needs a %s", "rejected": "was refused with the %s that it has", "expired": "has a %s that is no longer good",
	}[reason]
	if why == "" {
		why = "needs a %s"
	}
	q := fmt.Sprintf("Account %s "+why, printable(account), printable(name))
	if url := d.Str("url"); url != "" {
		q += " for " + printable(url)
	}
	line, err := t.ask(ctx, true, fmt.Sprintf("%s.\n%s of %s (empty: not now): ", q, printable(name), printable(d.Str("user"))))
	return []byte(line), err
}

func (t *terminal) Certificate(ctx context.Context, account, host, text string, problems []string) (bool, error) {
	q := fmt.Sprintf("The certificate of %s (account %s) cannot be trusted: %s.\n", printable(host), printable(account), strings.Join(problems, ", "))
	if block, _ := pem.Decode([]byte(text)); block != nil {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			q += fmt.Sprintf("  for      %s\n  by       %s\n  valid    %s to %s\n  SHA-256  %x\n", printable(c.Subject.String()), printable(c.Issuer.String()),
				c.NotBefore.Format("2006-01-02"), c.NotAfter.Format("2006-01-02"), sha256.Sum256(c.Raw))
		}
	}
	line, err := t.ask(ctx, false, q+"Is it the right one? \"yes\" trusts exactly this one, for this account: ")
	return line == "yes", err
}

func (t *terminal) Deletions(ctx context.Context, group string, count, total uint32) (bool, error) {
	line, err := t.ask(ctx, false, fmt.Sprintf("%d of %d items of %s would be deleted: see davbus held %s.\n\"delete\" them, or \"restore\" them where they are gone (empty: not now): ",
		count, total, printable(group), printable(group)))
	if err == nil && line != "delete" && line != "restore" {
		err = client.ErrNo
	}
	return line == "delete", err
}

func (t *terminal) Conflict(ctx context.Context, path dbus.ObjectPath, d client.Props) (string, error) {
	var item string
	var members []string
	for name, into := range map[string]any{"ItemName": &item, "Members": &members} {
		if err := t.client.Get(ctx, path, client.Name+".Conflict", name, into); err != nil {
			return "", err
		}
	}
	q := fmt.Sprintf("%s was changed in different ways", printable(item))
	if clashes := d.Strs("clashes"); len(clashes) > 0 {
		q += " (" + printable(strings.Join(clashes, ", ")) + ")"
	}
	q += ".\n"
	for i, m := range members {
		q += fmt.Sprintf("  %d  as %s has it\n", i+1, printable(m))
	}
	line, err := t.ask(ctx, false, q+"Number, or newest, both, merged (empty: later): ")
	if errors.Is(err, client.ErrNo) {
		return "later", nil
	}
	if n, bad := strconv.Atoi(line); bad == nil && n >= 1 && n <= len(members) {
		line = "member:" + members[n-1]
	}
	return line, err
}
