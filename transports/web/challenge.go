package web

import "strings"

// A challenge is one way to log in that a server offers.
type challenge struct {
	scheme string // lower case
	params string // as the server wrote them
}

// challenges takes apart the values of WWW-Authenticate. One value may hold
// several challenges, apart by the same commas that part their parameters: a
// new one begins where a word is followed by another word and not by "=".
func challenges(values []string) []challenge {
	var all []challenge
	for _, v := range values {
		for _, part := range splitCommas(v) {
			word, rest, _ := strings.Cut(part, " ")
			rest = strings.TrimSpace(rest)
			if word != "" && !strings.Contains(word, "=") && !strings.HasPrefix(rest, "=") {
				all = append(all, challenge{strings.ToLower(word), rest})
			} else if n := len(all) - 1; n >= 0 && part != "" {
				if all[n].params != "" {
					all[n].params += ", "
				}
				all[n].params += part
			}
		}
	}
	return all
}

// splitCommas parts a header at the commas outside of quoted strings.
func splitCommas(s string) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			parts = append(parts, strings.TrimSpace(s[start:i]))
			start = i + 1
		}
	}
	return append(parts, strings.TrimSpace(s[start:]))
}
