package service

import (
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/transports/web"
)

// A refusal is the certificate that an account's server showed last and that was
// not accepted.
type refusal struct {
	shown *web.Shown
	where any // the parameter "url": another may be tried meanwhile
	at    time.Time
}

func (k *kinds) noteRefusal(cfg engine.AccountConfig, s *web.Shown) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refused[cfg.ID] = refusal{s, cfg.Params["url"], time.Now()}
}

// refusedBy is the certificate for which an account fails; nil if it fails for
// something else.
func (k *kinds) refusedBy(st *engine.AccountState) *web.Shown {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.refused[st.ID]
	if r.where != st.Params["url"] || r.at.Before(st.LastAttempt.Add(-jobPatience)) {
		return nil
	}
	return r.shown
}
