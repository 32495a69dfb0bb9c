package web

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/icholy/digest"
)

func validAuth(name string) error {
	if slices.Contains([]string{"auto", "basic", "digest", "bearer", "oauth2", "none"}, name) {
		return nil
	}
	return fmt.Errorf("auth %q is not known; it is one of auto, basic, digest, bearer, oauth2, none", name)
}

// A login answers challenges. What it learned is used for the next requests
// without being asked: one exchange each, not two.
type login struct {
	opt  *Options
	turn chan struct{} // holds one token; taken while the fields are used

	have         bool
	user, secret string
	scheme       string // "basic", "digest", "bearer"; "" while not known
	nonce        *digest.Challenge
	count        int
	proven       bool // the server has accepted an answer to nonce
}

// A proof is what one exchange carried.
type proof struct{ scheme, user, secret, nonce string }

// tries bounds the exchanges for one request: unasked, asked, a new nonce, a
// new secret.
const tries = 4

// authorized makes one exchange, with the login where it may go. An answer 401
// that it returns means that there is no login or that it was refused.
func (c *Client) authorized(req *http.Request) (*http.Response, error) {
	l := &c.login
	req.Header.Del("Authorization")
	if l.opt.Auth == "none" || l.opt.Login == nil || !c.trusted(req.URL) {
		return c.once(req)
	}
	for n := 1; ; n++ {
		sent, err := l.sign(req)
		if err != nil {
			return nil, err
		}
		resp, err := c.once(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusUnauthorized {
			l.accepted(sent)
			return resp, nil
		}
		again, err := l.challenged(req.Context(), resp, sent)
		if err == nil && (!again || n == tries) {
			return resp, nil
		}
		discard(resp)
		if err != nil {
			return nil, err
		}
	}
}

func (l *login) lock(ctx context.Context) error {
	select {
	case <-l.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil { // both had happened
		l.unlock()
		return err
	}
	return nil
}

func (l *login) unlock() { l.turn <- struct{}{} }

// sign puts the login on a request, once it is known how.
func (l *login) sign(req *http.Request) (proof, error) {
	if err := l.lock(req.Context()); err != nil {
		return proof{}, err
	}
	defer l.unlock()
	if l.scheme == "" {
		switch l.opt.Auth {
		case "basic":
			l.scheme = "basic"
		case "bearer", "oauth2":
			l.scheme = "bearer"
		default:
			return proof{}, nil // wait for the challenge
		}
	}
	if err := l.fetch(req.Context()); err != nil {
		return proof{}, err
	}
	p := proof{scheme: l.scheme, user: l.user, secret: l.secret}
	value := ""
	switch l.scheme {
	case "basic":
		if strings.Contains(l.user, ":") {
			return p, errors.New("cannot log in: a user name with a colon cannot be sent with basic authentication")
		}
		value = "Basic " + base64.StdEncoding.EncodeToString([]byte(l.user+":"+l.secret))
	case "bearer":
		value = "Bearer " + l.secret
	case "digest":
		l.count++
		p.nonce = l.nonce.Nonce
		cred, err := digest.Digest(l.nonce, digest.Options{
			Method: req.Method, URI: req.URL.RequestURI(), GetBody: req.GetBody,
			Count: l.count, Username: l.user, Password: l.secret,
		})
		if err != nil {
			return p, errors.New("cannot log in: the server's digest challenge cannot be answered")
		}
		value = cred.String()
	}
	req.Header.Set("Authorization", value)
	return p, nil
}

func (l *login) fetch(ctx context.Context) error {
	if l.have {
		return nil
	}
	user, secret, err := l.opt.Login(ctx)
	if err != nil {
		return fmt.Errorf("cannot log in: %w", err)
	}
	if strings.ContainsAny(secret, "\r\n\x00") || strings.ContainsAny(user, "\r\n\x00") {
		return errors.New("cannot log in: the user name or the secret holds a line break or NUL")
	}
	l.user, l.secret, l.have = user, secret, true
	return nil
}

func (l *login) accepted(sent proof) {
	if sent.scheme != "digest" {
		return
	}
	<-l.turn
	defer l.unlock()
	if l.nonce != nil && l.nonce.Nonce == sent.nonce {
		l.proven = true
	}
}

// challenged learns from an answer 401 and reports whether another exchange may
// help: the same login is not offered twice.
func (l *login) challenged(ctx context.Context, resp *http.Response, sent proof) (bool, error) {
	if err := l.lock(ctx); err != nil {
		return false, err
	}
	defer l.unlock()
	scheme, nonce := l.choose(challenges(resp.Header.Values("WWW-Authenticate")))
	if scheme == "" {
		return false, nil
	}
	expired := false
	if scheme == "digest" {
		expired = nonce.Stale || l.proven && nonce.Nonce != sent.nonce
		if l.nonce == nil || l.nonce.Nonce != nonce.Nonce {
			l.nonce, l.count, l.proven = nonce, 0, false
		}
	}
	l.scheme = scheme
	switch {
	case sent.scheme != scheme, expired:
		return true, l.fetch(ctx)
	case l.have && (l.user != sent.user || l.secret != sent.secret):
		return true, nil // another request has renewed it meanwhile
	}
	l.have = false
	if err := l.fetch(ctx); err != nil {
		return false, err
	}
	return l.user != sent.user || l.secret != sent.secret, nil
}

// choose takes the strongest of what the server offers and the account allows.
func (l *login) choose(offers []challenge) (string, *digest.Challenge) {
	if len(offers) == 0 && l.opt.Auth == "auto" {
		return "basic", nil // a server that asks without saying for what
	}
	for _, want := range []string{"digest", "basic", "bearer"} {
		if l.opt.Auth != "auto" && l.opt.Auth != want && !(l.opt.Auth == "oauth2" && want == "bearer") {
			continue
		}
		for _, o := range offers {
			if o.scheme != want {
				continue
			}
			if want != "digest" {
				return want, nil
			}
			if c, err := digest.ParseChallenge(digest.Prefix + o.params); err == nil {
				for i, q := range c.QOP {
					c.QOP[i] = strings.TrimSpace(q)
				}
				if c.Nonce != "" && digest.CanDigest(c) {
					return want, c
				}
			}
		}
	}
	return "", nil
}
