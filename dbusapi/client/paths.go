package client

import (
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"
)

// AccountPath and GroupPath name an object by its id.
func AccountPath(id string) dbus.ObjectPath { return Root + "/account/" + escape(id) }
func GroupPath(id string) dbus.ObjectPath   { return Root + "/group/" + escape(id) }

// CollectionPath names the object of ACCOUNT/COLLECTION.
func CollectionPath(id string) dbus.ObjectPath {
	account, collection, _ := strings.Cut(id, "/")
	return AccountPath(account) + "/" + escape(collection)
}

func escape(id string) dbus.ObjectPath {
	const hex = "0123456789abcdef"
	var b strings.Builder
	for _, c := range []byte(id) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'_', hex[c>>4], hex[c&15]})
		}
	}
	return dbus.ObjectPath(b.String())
}

// IDOf turns the path of an account, a collection or a group back into its id, and
// any other one into "job 7"; "" for what is not below the root.
func IDOf(path dbus.ObjectPath) string {
	kind, id := splitPath(path)
	if kind == "account" || kind == "group" || kind == "" {
		return id
	}
	return kind + " " + id
}

func splitPath(path dbus.ObjectPath) (kind, id string) {
	rest, ok := strings.CutPrefix(string(path), string(Root)+"/")
	if !ok {
		return "", ""
	}
	kind, rest, _ = strings.Cut(rest, "/")
	parts := strings.Split(rest, "/")
	for i := range parts {
		parts[i] = unescape(parts[i])
	}
	return kind, strings.Join(parts, "/")
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		var c byte
		if s[i] == '_' && i+2 < len(s) {
			if _, err := fmt.Sscanf(s[i+1:i+3], "%02x", &c); err == nil {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// called is what a person calls an object: "collection work/cal".
func called(path dbus.ObjectPath) string {
	kind, id := splitPath(path)
	if kind == "account" && strings.Contains(id, "/") {
		kind = "collection"
	}
	return kind + " " + id
}
