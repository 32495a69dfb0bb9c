package webcal

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// A calendar is a file taken apart.
type calendar struct {
	items      []engine.Item // by ref
	where      map[engine.Ref]int
	kind       string
	components []string
	meta       engine.Meta
	state      string // of all items and metadata
}

// mostLines is how many lines a file may have: each costs memory.
const mostLines = 1 << 20

var (
	errLines      = fmt.Errorf("the calendar has more than %d lines", mostLines)
	errNoCalendar = errors.New("the server sent something else than a calendar or contacts: a page to log in, or a wrong address")
	errCutOff     = errors.New("the calendar that the server sent is cut off or broken")
)

// read takes a file apart. A file that is not whole is an error: what is missing
// would look deleted.
func read(text []byte) (calendar, error) {
	c := calendar{where: map[engine.Ref]int{}, meta: engine.Meta{}}
	whole := bytes.TrimSpace(text)
	begins := func(name string) bool {
		return len(whole) > len(name) && bytes.EqualFold(whole[:len(name)], []byte(name))
	}
	switch {
	case begins("BEGIN:VCALENDAR"):
		c.kind = engine.Calendar
	case begins("BEGIN:VCARD"):
		c.kind, c.components = engine.AddressBook, []string{"VCARD"}
	default:
		return c, errNoCalendar
	}
	if bytes.Count(text, []byte("\n")) > mostLines {
		return c, errLines
	}
	parts, err := item.Split(text)
	if err != nil {
		return c, fmt.Errorf("%w: %w", errCutOff, err)
	}
	for _, part := range parts {
		c.add(item.CRLF(part))
	}
	slices.SortFunc(c.items, func(a, b engine.Item) int { return cmp.Compare(a.Ref, b.Ref) })
	all := sha256.New()
	for i, it := range c.items {
		c.where[it.Ref] = i
		fmt.Fprintf(all, "%q %s\n", it.Ref, it.Etag)
	}
	c.readMeta(whole)
	for _, key := range engine.MetaKeys {
		fmt.Fprintf(all, "%q\n", c.meta[key])
	}
	c.state = hex.EncodeToString(all.Sum(nil)[:16])
	return c, nil
}

// add adds an item under a ref that is the same in every answer: its UID, or the
// sum of one that has none. The same text twice is one item.
func (c *calendar) add(text []byte) {
	sum := item.Sum(text)
	etag := engine.Etag(hex.EncodeToString(sum[:16]))
	ref := engine.Ref(item.Read(text).UID)
	if ref == "" {
		ref = engine.Ref("no-uid-" + etag)
	}
	if i, taken := c.where[ref]; taken && c.items[i].Etag != etag { // two cards of one UID: known by what they hold
		ref += engine.Ref("-" + etag)
	}
	if _, twice := c.where[ref]; twice {
		return
	}
	c.where[ref] = len(c.items)
	c.items = append(c.items, engine.Item{Head: engine.Head{Ref: ref, Etag: etag}, Text: text})
}

var inner = regexp.MustCompile(`(?i)\n(BEGIN|END):`)

var color = regexp.MustCompile("^#[0-9A-Fa-f]{6}")

// readMeta reads what a calendar says of itself, in the ways that are in use.
func (c *calendar) readMeta(text []byte) {
	if c.kind != engine.Calendar {
		return
	}
	head := text // up to the first component
	if at := inner.FindIndex(text); at != nil {
		head = append(bytes.Clone(text[:at[0]+1]), "END:VCALENDAR\r\n"...)
	}
	root, err := item.Parse(head)
	if err != nil {
		return
	}
	for n := range root.Children {
		escapes := strings.NewReplacer(`\\`, `\`, `\,`, ",", `\;`, ";", `\n`, "\n", `\N`, "\n")
		first := func(names ...string) string {
			for _, name := range names {
				if v := n.Value(name); v != "" {
					return escapes.Replace(v)
				}
			}
			return ""
		}
		for key, value := range map[engine.MetaKey]string{
			engine.MetaName:        first("NAME", "X-WR-CALNAME"),
			engine.MetaDescription: first("DESCRIPTION", "X-WR-CALDESC"),
			engine.MetaColor:       color.FindString(first("X-APPLE-CALENDAR-COLOR", "COLOR")),
		} {
			if value != "" {
				c.meta[key] = value
			}
		}
		return
	}
}
