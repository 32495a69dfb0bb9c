package conn

import (
	"strings"
)

func alignment(code byte) int {
	switch code {
	case 'n', 'q':
		return 2
	case 'b', 'i', 'u', 'h', 's', 'o', 'a':
		return 4
	case 'x', 't', 'd', '(', '{':
		return 8
	}
	return 1
}

const basic = "ybnqiuxtdsogh"

// checkSignature reports whether s is a sequence of complete types.
func checkSignature(s string) error {
	if len(s) > 255 {
		return errSignature
	}
	for s != "" {
		_, rest, err := cutType(s)
		if err != nil {
			return err
		}
		s = rest
	}
	return nil
}

// cutType splits the first complete type off a signature. Every container in it
// has been checked.
func cutType(s string) (one, rest string, err error) {
	n, err := typeLen(s, 0)
	if err != nil {
		return "", "", err
	}
	return s[:n], s[n:], nil
}

func typeLen(s string, depth int) (int, error) {
	if s == "" || depth > maxDepth {
		return 0, errSignature
	}
	switch {
	case strings.IndexByte(basic, s[0]) >= 0, s[0] == 'v':
		return 1, nil
	case s[0] == 'a' && len(s) > 1 && s[1] == '{':
		if len(s) < 3 || strings.IndexByte(basic, s[2]) < 0 {
			return 0, errSignature
		}
		n, err := typeLen(s[3:], depth+2)
		if err != nil {
			return 0, err
		}
		if len(s) <= 3+n || s[3+n] != '}' {
			return 0, errSignature
		}
		return 3 + n + 1, nil
	case s[0] == 'a':
		n, err := typeLen(s[1:], depth+1)
		return n + 1, err
	case s[0] == '(':
		i := 1
		for i < len(s) && s[i] != ')' {
			n, err := typeLen(s[i:], depth+1)
			if err != nil {
				return 0, err
			}
			i += n
		}
		if i == 1 || i >= len(s) {
			return 0, errSignature
		}
		return i + 1, nil
	}
	return 0, errSignature
}
