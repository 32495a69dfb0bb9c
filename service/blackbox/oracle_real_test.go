//go:build real && further

package blackbox_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Props are the values of an item: of its summary and of its location. Every
// value is written once only, so that its fate can be told. {} is no item.
type props [2]int

var propLines = [2]*regexp.Regexp{regexp.MustCompile(`(?m)^SUMMARY:v(\d+)`), regexp.MustCompile(`(?m)^LOCATION:v(\d+)`)}

func read(text string) (p props) {
	for i, line := range propLines {
		if m := line.FindStringSubmatch(text); m != nil {
			p[i], _ = strconv.Atoi(m[1])
		}
	}
	return p
}

func (p props) text(uid string) string {
	return fmt.Sprintf("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//test\r\nBEGIN:VEVENT\r\nUID:%s\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nSUMMARY:v%d\r\nLOCATION:v%d\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", uid, p[0], p[1])
}

// An oracle knows what must not be lost, and nothing of how davbus works: a
// value may vanish only if somebody who saw it replaced or deleted it. (The
// model is that of Hughes and Pierce.)
type oracle struct {
	next  int
	alive map[string]map[int]bool // by UID
	log   map[string][]string

	// mayReturn are the UIDs that were deleted while a killed daemon could not know
	// that what was deleted had arrived there: to it, an edit met a deletion.
	mayReturn map[string]bool
}

func newOracle() *oracle {
	return &oracle{alive: map[string]map[int]bool{}, log: map[string][]string{}, mayReturn: map[string]bool{}}
}

// fresh gives a value that was never written before.
func (o *oracle) fresh() int { o.next++; return o.next }

// wrote notes that somebody at a place put now there and saw old by doing so.
// What is fresh is new; the rest is only kept, and may be superseded elsewhere.
func (o *oracle) wrote(place, uid string, old, now props, fresh ...int) {
	alive := o.alive[uid]
	if alive == nil {
		alive = map[int]bool{}
		o.alive[uid] = alive
	}
	for i := range old {
		if old[i] != now[i] {
			delete(alive, old[i])
		}
		if now[i] != 0 && slices.Contains(fresh, now[i]) {
			alive[now[i]] = true
		}
	}
	o.log[uid] = append(o.log[uid], fmt.Sprintf("%s: %v -> %v", place, old, now))
}

// A place is where people edit a calendar.
type place interface {
	name() string
	// edit puts what with makes of the item there; {} removes it. It gives what
	// was read and what was displaced, which may differ.
	edit(uid string, with func(props) props) (displaced, now props, err error)
	// all gives every item with its UID; twice names the UIDs that are there twice.
	all() (items map[string]props, twice []string, err error)
}

// A folderPlace is edited as good editors do: by renames that give back exactly
// what they displaced.
type folderPlace struct {
	who, path string
	n         *int
}

func (f folderPlace) name() string { return f.who }

func (f folderPlace) edit(uid string, with func(props) props) (displaced, now props, err error) {
	*f.n++
	file, temp := filepath.Join(f.path, uid+".ics"), filepath.Join(f.path, fmt.Sprintf("edit-%d.tmp", *f.n))
	for range 1000 {
		text, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			return props{}, props{}, err
		}
		was := read(string(text))
		now = with(was)
		switch {
		case now == was:
			return was, now, nil
		case now == props{}:
			err = os.Rename(file, temp)
		case was == props{}:
			if err = os.WriteFile(temp, []byte(now.text(uid)), 0o600); err == nil {
				if err = os.Link(temp, file); err == nil {
					os.Remove(temp)
					return props{}, now, nil
				}
			}
		default:
			if err = os.WriteFile(temp, []byte(now.text(uid)), 0o600); err == nil {
				err = unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, file, unix.RENAME_EXCHANGE)
			}
		}
		if err == nil {
			text, err = os.ReadFile(temp)
			os.Remove(temp)
			return read(string(text)), now, err
		}
		if !os.IsNotExist(err) && !os.IsExist(err) && err != unix.ENOENT {
			return props{}, props{}, err
		}
	}
	return props{}, props{}, fmt.Errorf("%s: %s changes all the time", f.who, uid)
}

var uidOf = regexp.MustCompile(`(?m)^UID:(\S+)`)

func (f folderPlace) all() (map[string]props, []string, error) {
	names, err := filepath.Glob(filepath.Join(f.path, "*"))
	items, twice := map[string]props{}, []string(nil)
	for _, name := range names {
		text, e := os.ReadFile(name)
		if e != nil {
			return nil, nil, e
		}
		m := uidOf.FindStringSubmatch(string(text))
		if m == nil || !strings.HasSuffix(name, ".ics") {
			if filepath.Ext(name) == ".ics" || filepath.Ext(name) == ".tmp" {
				return nil, nil, fmt.Errorf("%s is left over: %q", name, text)
			}
			continue
		}
		if _, there := items[m[1]]; there {
			twice = append(twice, m[1])
		}
		items[m[1]] = read(string(text))
	}
	return items, twice, err
}
