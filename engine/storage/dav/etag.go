package dav

import (
	"strings"

	"davbus.org/davbus/engine"
)

// cleanEtag brings an entity tag to one form: "core" in quotes. Servers and the
// proxies before them pad it, leave the quotes away, call it weak, or add which
// coding it was sent in; none of that says anything about the item.
func cleanEtag(s string) engine.Etag {
	s = strings.TrimSpace(s)
	if len(s) > 2 && (s[0] == 'W' || s[0] == 'w') && s[1] == '/' {
		s = s[2:]
	}
	s = strings.Trim(s, `"`)
	for _, suffix := range []string{"-gzip", ";gzip", "--gzip", ";br", "-br"} {
		s = strings.TrimSuffix(s, suffix)
	}
	s = strings.Map(func(r rune) rune {
		if r < 0x21 || r == 0x7f || r == '"' {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return ""
	}
	return engine.Etag(`"` + s + `"`)
}
