package davtest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
)

// A digest asks for an HTTP Digest login with SHA-256 and qop=auth (RFC 7616).
type digest struct {
	user, password, nonce string
}

func newDigest(user, password string) digest { return digest{user, password, rand.Text()} }

const digestRealm = "davtest"

func (d digest) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.right(r) {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Digest realm=%q, nonce=%q, qop="auth", algorithm=SHA-256`, digestRealm, d.nonce))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (d digest) right(r *http.Request) bool {
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Digest ")
	if !ok {
		return false
	}
	f := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		f[strings.ToLower(name)] = strings.Trim(value, `"`)
	}
	if f["username"] != d.user || f["nonce"] != d.nonce || f["qop"] != "auth" || f["uri"] != r.RequestURI {
		return false
	}
	secret := hash(d.user + ":" + digestRealm + ":" + d.password)
	want := hash(strings.Join([]string{secret, d.nonce, f["nc"], f["cnonce"], "auth", hash(r.Method + ":" + f["uri"])}, ":"))
	return subtle.ConstantTimeCompare([]byte(want), []byte(f["response"])) == 1
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
