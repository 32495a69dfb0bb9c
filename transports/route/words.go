package route

import "strings"

// Words reads a command line: words apart by spaces, '…' as is, "…" with \
// before " and \, and \ before any byte. No variables, no globs, no shell.
func Words(s string) (words []string, why string) {
	var w strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote == '\'' && c != '\'', quote == '"' && c != '"' && c != '\\':
			w.WriteByte(c)
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\':
			if i++; i == len(s) {
				return nil, "it ends with a backslash"
			}
			if quote == '"' && s[i] != '"' && s[i] != '\\' {
				w.WriteByte('\\')
			}
			w.WriteByte(s[i])
			in = true
		case c == '\'' || c == '"':
			quote, in = c, true
		case c == ' ' || c == '\t':
			if in {
				words = append(words, w.String())
				w.Reset()
			}
			in = false
		default:
			w.WriteByte(c)
			in = true
		}
	}
	if quote != 0 {
		return nil, "a quote is not closed"
	}
	if in {
		words = append(words, w.String())
	}
	if len(words) == 0 || words[0] == "" {
		return nil, "there is no command"
	}
	return words, ""
}

func joinWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if w == "" || strings.ContainsAny(w, " \t'\"\\") {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
