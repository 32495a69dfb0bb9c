//go:build real && further && linux

package ledger

import (
	"bufio"
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A call is a system call on a file of the watched folder.
type call struct {
	kind, name string // the name in the folder; "" is the folder itself
	data       []byte
	at         int64 // or the size
}

var (
	whole   = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += (\d+)(?:<.*>)?$`)
	begun   = regexp.MustCompile(`^(\d+) +(.*) <unfinished \.\.\.>$`)
	resumed = regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>(.*)$`)
	escaped = regexp.MustCompile(`\\x[0-9a-f]{2}`)
)

func plain(s string) string {
	return escaped.ReplaceAllStringFunc(s, func(b string) string {
		n, _ := strconv.ParseUint(b[2:], 16, 8)
		return string([]byte{byte(n)})
	})
}

// readTrace gives the calls on files of a folder, in the order of their ends. A
// call that it does not know how to follow is an error.
func readTrace(t *testing.T, path, folder string) []call {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	open := map[string]string{}
	var all []call
	for lines.Scan() {
		line := lines.Text()
		if m := begun.FindStringSubmatch(line); m != nil {
			open[m[1]] = m[1] + " " + m[2]
			continue
		}
		if m := resumed.FindStringSubmatch(line); m != nil {
			line = open[m[1]] + m[2]
		}
		if m := whole.FindStringSubmatch(line); m != nil {
			if c, ours := asCall(t, m[2], m[3], folder); ours {
				all = append(all, c)
			}
		}
	}
	if err := lines.Err(); err != nil || len(all) < 1000 {
		t.Fatalf("%d calls: %v", len(all), err)
	}
	return all
}

func asCall(t *testing.T, kind, args, folder string) (c call, ours bool) {
	part := strings.Split(args, ", ")
	_, file, _ := strings.Cut(part[0], "<")
	file = plain(strings.TrimSuffix(file, ">"))
	if strings.HasPrefix(kind, "unlink") || strings.HasPrefix(kind, "open") {
		i := len(part) - 1
		for i >= 0 && !strings.HasPrefix(part[i], `"`) {
			i--
		}
		file = plain(strings.Trim(part[i], `"`))
	}
	inside, ours := strings.CutPrefix(file, folder)
	if !ours || strings.HasSuffix(file, "-shm") { // which is made anew
		return c, false
	}
	c = call{kind: kind, name: strings.TrimPrefix(inside, "/")}
	last, _ := strconv.ParseInt(part[len(part)-1], 10, 64)
	switch kind {
	case "open", "openat", "unlink", "unlinkat", "fsync", "fdatasync":
	case "ftruncate":
		c.at = last
	case "pwrite64", "write":
		c.data, c.at = []byte(plain(strings.Trim(part[1], `"`))), last
		if c.name != "told" && kind == "write" {
			t.Fatalf("%s is written at no place that is told", c.name)
		}
	default:
		t.Fatalf("%s of %s", kind, file)
	}
	return c, true
}

// A disk is what is durable, and what is only meant to be.
type disk struct {
	now, durable map[string]*content // by name
	told         int
}

type content struct {
	durable []byte
	pending []call
}

func newDisk() *disk { return &disk{map[string]*content{}, map[string]*content{}, 0} }

// make carries out a call.
func (d *disk) make(c call) {
	f := d.now[c.name]
	switch {
	case c.name == "told":
		if c.kind == "write" {
			d.told, _ = strconv.Atoi(strings.TrimSpace(string(c.data)))
		}
	case c.name == "" && c.kind == "fsync":
		d.durable = maps.Clone(d.now)
	case c.name == "":
	case strings.HasPrefix(c.kind, "open"):
		if f == nil {
			d.now[c.name] = &content{}
		}
	case strings.HasPrefix(c.kind, "unlink"):
		delete(d.now, c.name)
	case c.kind == "fsync" || c.kind == "fdatasync":
		for _, p := range f.pending {
			f.durable = p.on(f.durable, len(p.data))
		}
		f.pending = nil
	case c.kind == "pwrite64" || c.kind == "ftruncate":
		f.pending = append(f.pending, c)
	}
}

// on carries out so much of a write, or a cut of the file.
func (c call) on(text []byte, n int) []byte {
	end := int(c.at) + n
	if c.kind == "ftruncate" {
		end = int(c.at)
		text = text[:min(end, len(text))]
	}
	if grow := end - len(text); grow > 0 {
		text = append(text, make([]byte, grow)...)
	}
	copy(text[c.at:end], c.data)
	return text
}

// fail leaves in a folder what a cut of the power leaves now.
func (d *disk) fail(t *testing.T, r *rand.Rand, folder string) {
	keep := r.IntN(4) // nothing that is not durable, all of it, or some
	lucky := func() bool { return keep == 1 || keep > 1 && r.IntN(2) == 0 }
	names := slices.Sorted(maps.Keys(d.now))
	for name := range d.durable {
		if d.now[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		f := d.durable[name]
		if now := d.now[name]; f != now && lucky() {
			f = now
		}
		if f == nil {
			continue
		}
		text := bytes.Clone(f.durable)
		for _, p := range f.pending {
			switch {
			case lucky():
				text = p.on(text, len(p.data))
			case keep == 3 && p.kind == "pwrite64" && len(p.data) > 512:
				text = p.on(text, 512*r.IntN(len(p.data)/512)) // half of it
			}
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
