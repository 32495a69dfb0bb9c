package service

import (
	"bytes"
	"context"
	"strings"

	"davbus.org/davbus/engine"
)

// A later runs what must not be waited for, until the daemon ends.
type later func(do func(context.Context))

// begin says how what takes time is done, and who hears of it if it fails.
func (s *secrets) begin(later later, fault func(string, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.later, s.fault = later, fault
}

// promote stores in the keyring what an agent gave and the server has now taken;
// mu is held.
func (s *secrets) promote(id engine.AccountID) {
	for key := range s.trial {
		if key.account != id || s.later == nil {
			continue
		}
		delete(s.trial, key)
		value := bytes.Clone(s.session[key])
		s.later(func(ctx context.Context) {
			defer clear(value)
			ctx, cancel := context.WithTimeout(ctx, keyringTime)
			defer cancel()
			err := s.keyring.Set(ctx, key.account, key.name, value)
			s.mu.Lock()
			defer s.mu.Unlock()
			switch {
			case err != nil:
				s.fault("the "+key.name+" of "+string(key.account)+" is kept until davbusd ends, and not in the keyring", err)
			case bytes.Equal(s.session[key], value):
				s.stored[key] = "stored"
				delete(s.session, key)
			}
		})
	}
}

// needsSecret reports whether an account may be asked for a password at all.
func needsSecret(cfg engine.AccountConfig) bool {
	user := userOf(cfg) != "" || cfg.Params["username-command"] != nil
	return (cfg.Kind == "dav" || cfg.Kind == "webcal") && user && cfg.Params["auth"] != "none"
}

// userOf is who logs in; "" if only a command tells.
func userOf(cfg engine.AccountConfig) string {
	user, _ := cfg.Params["username"].(string)
	where, _ := cfg.Params["url"].(string)
	if user == "" && cfg.Kind == "dav" && isAddress(where) {
		user = where
	}
	return user
}

// isAddress reports whether an account is looked up by address. Who is logs in by
// it: RFC 6764, section 6.
func isAddress(where string) bool {
	return !strings.Contains(where, "/") && strings.Contains(where, "@")
}
