package dav

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"davbus.org/davbus/engine"
)

// nameFor is what a new item is to be called: as it is called elsewhere or after
// its UID where that is safe in every path, else a digest of the UID. A UID is
// somebody's text: "../../other/x" would be another place.
func (st *Storage) nameFor(w engine.Write) engine.Ref {
	ext := ".ics"
	if st.book() {
		ext = ".vcf"
	}
	if hint := strings.TrimSuffix(string(w.Old.Ref), ext); safeName(hint) {
		return engine.Ref(hint + ext)
	}
	if safeName(string(w.UID)) {
		return engine.Ref(string(w.UID) + ext)
	}
	return digestName(w, ext)
}

// otherName is for an item whose first name is taken by another one.
func (st *Storage) otherName(w engine.Write) engine.Ref {
	if st.book() {
		return digestName(w, ".vcf")
	}
	return digestName(w, ".ics")
}

func digestName(w engine.Write, ext string) engine.Ref {
	from := []byte(w.UID)
	if w.UID == "" {
		from = w.Text
	}
	sum := sha256.Sum256(from)
	return engine.Ref(hex.EncodeToString(sum[:16]) + ext)
}

func safeName(s string) bool {
	if s == "" || len(s) > 200 || s[0] == '.' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_.@+-", c) >= 0) {
			return false
		}
	}
	return true
}
