package dbusapi

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/engine"
)

// Where davbus is on the bus.
const (
	BusName = "org.davbus.Sync1"
	Root    = dbus.ObjectPath("/org/davbus/Sync1")
	LogPath = dbus.ObjectPath("/org/freedesktop/LogControl1")
)

// The interfaces.
const (
	ifManager        = BusName + ".Manager"
	ifShell          = BusName + ".Shell"
	ifControl        = BusName + ".Control"
	ifPluginManager  = BusName + ".PluginManager"
	ifIntroducer     = BusName + ".Introducer"
	ifIntroducerPeer = BusName + ".IntroducerPeer"
	ifAccount        = BusName + ".Account"
	ifCollection     = BusName + ".Collection"
	ifGroup          = BusName + ".Group"
	ifJob            = BusName + ".Job"
	ifConflict       = BusName + ".Conflict"
	ifStream         = BusName + ".Stream"
	ifAgent          = BusName + ".Agent"
	ifPlugin         = BusName + ".Plugin"
	ifLog            = "org.freedesktop.LogControl1"
)

func accountPath(id engine.AccountID) dbus.ObjectPath {
	return Root + "/account/" + dbus.ObjectPath(escape(string(id)))
}

func collectionPath(id engine.MemberID) dbus.ObjectPath {
	account, collection, _ := strings.Cut(string(id), "/")
	return accountPath(engine.AccountID(account)) + "/" + dbus.ObjectPath(escape(collection))
}

// memberPath is the path of a group's member as it was added: an account, or
// ACCOUNT/COLLECTION.
func memberPath(member string) dbus.ObjectPath {
	if strings.Contains(member, "/") {
		return collectionPath(engine.MemberID(member))
	}
	return accountPath(engine.AccountID(member))
}

func groupPath(id engine.GroupID) dbus.ObjectPath {
	return Root + "/group/" + dbus.ObjectPath(escape(string(id)))
}

const (
	jobPrefix    = string(Root) + "/job/"
	streamPrefix = string(Root) + "/stream/"
)

func jobPath(id engine.JobID) dbus.ObjectPath {
	return dbus.ObjectPath(jobPrefix + strconv.FormatUint(uint64(id), 10))
}

func conflictPath(id string) dbus.ObjectPath {
	return Root + "/conflict/" + dbus.ObjectPath(escape(id))
}

func targetPath(t engine.Target) dbus.ObjectPath {
	switch {
	case t.Collection != "":
		return collectionPath(t.Collection)
	case t.Account != "":
		return accountPath(t.Account)
	case t.Group != "":
		return groupPath(t.Group)
	}
	return Root
}

// jobNamed understands a job's path and its number.
func jobNamed(s string) (engine.JobID, bool) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, jobPrefix), 10, 32)
	return engine.JobID(n), err == nil && n > 0
}

const hex = "0123456789abcdef"

// escape writes any id as one element of a path: every byte outside A-Z a-z 0-9
// becomes _xx, and nothing at all becomes "_".
func escape(id string) string {
	if id == "" {
		return "_"
	}
	var b strings.Builder
	for i := range len(id) {
		if c := id[i]; isAlnum(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'_', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// unescape is the inverse of escape; it refuses what escape does not write.
func unescape(element string) (string, bool) {
	if element == "_" {
		return "", true
	}
	var b strings.Builder
	for i := 0; i < len(element); i++ {
		c := element[i]
		if c == '_' {
			if i+2 >= len(element) {
				return "", false
			}
			v, err := strconv.ParseUint(element[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			c = byte(v)
			i += 2
		}
		b.WriteByte(c)
	}
	return b.String(), element != "" && escape(b.String()) == element
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// text makes a string that a person wrote, or a server, fit for the bus: what is
// no UTF-8, and NUL, becomes U+FFFD. One bad string would void a whole reply.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

const upperHex = "0123456789ABCDEF"

// name makes a name that callers give back to us fit for the bus, so that
// unname restores it: a byte that is no UTF-8, and NUL, becomes %XX, and so does
// a "%" that would otherwise look like one of these.
func name(s string) string {
	if utf8.ValidString(s) && !strings.ContainsAny(s, "\x00%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		c := s[i]
		if r == utf8.RuneError && n == 1 || c == 0 || c == '%' && escaped(s[i:]) {
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// unname is the inverse of name.
func unname(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if escaped(s[i:]) {
			c = byte(strings.IndexByte(upperHex, s[i+1])<<4 | strings.IndexByte(upperHex, s[i+2]))
			i += 2
		}
		b.WriteByte(c)
	}
	return b.String()
}

// escaped reports whether s begins with an escape that name writes: %00, %25 or
// %80 to %FF. An href's own %20 is none and stays readable.
func escaped(s string) bool {
	if len(s) < 3 || s[0] != '%' {
		return false
	}
	high, low := strings.IndexByte(upperHex, s[1]), strings.IndexByte(upperHex, s[2])
	if high < 0 || low < 0 {
		return false
	}
	c := high<<4 | low
	return c == 0 || c == '%' || c >= 0x80
}

// accountOf is the account of a member, written either way.
func accountOf(member string) engine.AccountID {
	account, _, _ := strings.Cut(member, "/")
	return engine.AccountID(account)
}
