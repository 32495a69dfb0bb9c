package vdir

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"path"
	"strings"
	"unicode/utf8"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// longestUID is the longest UID that is a file name by itself.
const longestUID = 200

// extension is what the names of items of a kind end in.
func extension(kind string) string {
	if kind == engine.AddressBook {
		return ".vcf"
	}
	return ".ics"
}

// itemKind is the kind of item that a file of this name holds; "" if none.
func itemKind(name string) string {
	if !goodFolder(name) { // the same rule: one name, no dot before it
		return ""
	}
	switch ext := path.Ext(name); {
	case strings.EqualFold(ext, ".ics"):
		return engine.Calendar
	case strings.EqualFold(ext, ".vcf"):
		return engine.AddressBook
	}
	return ""
}

// refOf makes the ref of a file name. A name that is UTF-8 is its own ref. In
// any other the bytes that are not, and every %, are percent-escaped; so is the
// rare UTF-8 name that would be misread as such a ref.
func refOf(name string) engine.Ref {
	if !escapes(name) {
		return engine.Ref(name)
	}
	return engine.Ref(escape(name))
}

// nameOf is the file name that a ref stands for.
func nameOf(ref engine.Ref) string {
	if name, ok := unescape(string(ref)); ok && escapes(name) && escape(name) == string(ref) {
		return name
	}
	return string(ref)
}

// escapes reports whether the ref of a name is not the name itself.
func escapes(name string) bool {
	if !utf8.ValidString(name) {
		return true
	}
	inner, ok := unescape(name)
	return ok && len(inner) < len(name) && escapes(inner) && escape(inner) == name
}

func escape(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		if r == utf8.RuneError && n == 1 || r == '%' {
			fmt.Fprintf(&b, "%%%02X", name[i])
		} else {
			b.WriteString(name[i : i+n])
		}
		i += n
	}
	return b.String()
}

func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+3 > len(s) {
			return "", false
		}
		c, err := hex.DecodeString(s[i+1 : i+3])
		if err != nil {
			return "", false
		}
		b.Write(c)
		i += 2
	}
	return b.String(), true
}

// safe reports whether a server may choose s as a file name: nothing that a
// shell, another file system or a reader of folders takes for something else.
func safe(s string) bool {
	for _, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("_.@+-", rune(c)) {
			return false
		}
	}
	return s != "" && s[0] != '.' && s[0] != '-' && len(s) <= longestUID
}

// candidates are the names that a new item may get, best first, without end.
func candidates(kind string, w engine.Write) iter.Seq[string] {
	ext := extension(kind)
	if kind == "" && bytes.Contains(bytes.ToUpper(w.Text), []byte("BEGIN:VCARD")) {
		ext = extension(engine.AddressBook)
	}
	hashed := sha256.Sum256([]byte(w.UID))
	if w.UID == "" {
		hashed = item.Sum(w.Text)
	}
	base := hex.EncodeToString(hashed[:16])
	return func(yield func(string) bool) {
		if s := string(w.Old.Ref); safe(s) && path.Ext(s) == ext && !yield(s) {
			return
		}
		if safe(string(w.UID)) && !yield(string(w.UID)+ext) {
			return
		}
		if !yield(base + ext) {
			return
		}
		for n := 2; yield(fmt.Sprint(base, "-", n, ext)); n++ {
		}
	}
}

// folderName is the name of the folder of a collection that is called so
// elsewhere: the same where that is harmless.
func folderName(name string) string {
	control := func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }
	if goodFolder(name) && utf8.ValidString(name) && len(name) <= longestUID && strings.IndexFunc(name, control) < 0 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return "collection-" + hex.EncodeToString(sum[:8])
}
