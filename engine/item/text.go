package item

import "davbus.org/davbus/engine"

// Read reads what can be read off a text, well formed or not.
func Read(text []byte) Info { panic("placeholder, being written") }

// WithUID gives every component of a text that an item is made of (VEVENT,
// VTODO, VJOURNAL, VCARD) another UID. Every other line keeps its bytes.
func WithUID(text []byte, uid engine.UID) []byte { panic("placeholder, being written") }

// CRLF brings a text back to CRLF line ends after XML took them for LF. It
// touches nothing else.
func CRLF(text []byte) []byte { panic("placeholder, being written") }

// Split takes a text of many items apart: one text for each UID, with the time
// zones that it names, or for each card. What has no UID is an item each.
func Split(text []byte) [][]byte { panic("placeholder, being written") }

// Join puts items back into one text.
func Join(items [][]byte) []byte { panic("placeholder, being written") }

// Takes tells whether a collection that takes these components ("VEVENT", ...)
// takes an item; nil takes all.
func Takes(components []string, i Info) bool { panic("placeholder, being written") }
