package dbusapi

import (
	"context"
	"slices"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/conn"
	"davbus.org/davbus/engine"
)

// A SecretQuestion is what an agent is told of a secret that is wanted.
type SecretQuestion struct {
	Account engine.AccountID
	Name    string // of the parameter
	Reason  string // "missing", "rejected", "expired"
	URL     string
	User    string
}

// Secret asks for a secret, and tells where the agent wants it kept: "session"
// or "keyring". It comes in a descriptor and never in a message.
func (a *Agents) Secret(ctx context.Context, q SecretQuestion) (value []byte, store string, err error) {
	details := dict{}
	for key, v := range map[string]string{"url": q.URL, "user": q.User} {
		if v != "" {
			details[key] = dbus.MakeVariant(text(v))
		}
	}
	args := []any{accountPath(q.Account), q.Name, q.Reason, details}
	err = a.ask(ctx, AboutSecrets, "RequestSecret", args, func(x *agent, r *conn.Reply) error {
		var index dbus.UnixFDIndex
		if err := r.Store(&index); err != nil || int(index) >= len(r.Files) {
			return invalid("read the secret", "the agent answered without a descriptor")
		}
		v, err := readSecret(ctx, r.Files[index], readTime)
		if err == nil && len(v) == 0 {
			err = invalid("read the secret", "the agent gave an empty one")
		}
		value, store = v, x.store
		return err
	})
	return value, store, err
}

// Certificate asks about a certificate that does not verify: whether to remember
// exactly this one.
func (a *Agents) Certificate(ctx context.Context, account engine.AccountID, host, pem string, problems []string) (pin bool, err error) {
	args := []any{accountPath(account), text(host), text(pem), texts(problems)}
	err = a.ask(ctx, AboutCertificates, "ConfirmCertificate", args, func(_ *agent, r *conn.Reply) error {
		decision, err := decisionIn(r, "pin", "reject")
		pin = decision == "pin"
		return err
	})
	return pin, err
}

// Deletions asks before many items are deleted.
func (a *Agents) Deletions(ctx context.Context, group engine.GroupID, count, total uint32) (proceed bool, err error) {
	err = a.ask(ctx, AboutDeletions, "ConfirmDeletions", []any{groupPath(group), count, total}, func(_ *agent, r *conn.Reply) error {
		return r.Store(&proceed)
	})
	return proceed, err
}

// Conflict asks how to settle a conflict; "later" leaves it as it is. Of the
// texts it tells the names of the properties that clash, and no content.
func (a *Agents) Conflict(ctx context.Context, id string, t engine.ConflictTexts) (choice string, err error) {
	members := []string{"later", "newest", "both", "merged", "skip"}
	for m := range t.Members {
		members = append(members, "member:"+string(m), "member:"+string(accountOf(string(m))))
	}
	details := makeDict(props{"clashes": texts(t.Clashes), "revision": text(t.Revision)})
	err = a.ask(ctx, AboutConflicts, "ResolveConflict", []any{conflictPath(id), details}, func(_ *agent, r *conn.Reply) error {
		choice, err = decisionIn(r, members...)
		return err
	})
	return choice, err
}

// decisionIn reads one word; any but the known ones is no answer.
func decisionIn(r *conn.Reply, known ...string) (string, error) {
	var word string
	if err := r.Store(&word); err != nil {
		return "", err
	}
	if word = unname(word); !slices.Contains(known, word) {
		return "", invalid("understand the agent", "%q is no answer; there are %s", word, quoted(known))
	}
	return word, nil
}
