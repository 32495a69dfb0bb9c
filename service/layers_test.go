package service

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "davbus.org/davbus/"

// Who may lean on whom, and which modules of others each part may use. A package
// falls under the longest entry that it lies in, and may import nothing but the
// standard library and what that entry lists: ours without the module's name,
// with a slash at the end everything below. Tests are free.
var layers = map[string][]string{
	"data":     {},
	"data/gen": {"data"},

	"engine":                   {"engine"},
	"engine/item":              {"engine", "engine/item"},
	"engine/plan":              {"engine", "engine/item"},
	"engine/merge":             {"engine", "engine/item"},
	"engine/ledger":            {"engine", "engine/item", "engine/turn", "modernc.org/sqlite"},
	"engine/group":             {"engine", "engine/item", "engine/ledger", "engine/merge", "engine/plan", "engine/turn"},
	"engine/keeper":            {"engine", "engine/feed", "engine/group", "engine/item", "engine/ledger"},
	"engine/storage":           {"engine", "engine/item"},
	"engine/storage/store":     {"engine", "engine/item", "modernc.org/sqlite", "modernc.org/sqlite/lib"},
	"engine/storage/webcal":    {"engine", "engine/item", "engine/storage/dav"}, // which knows what failed requests mean
	"engine/storage/vdir":      {"engine", "engine/item", "engine/turn", "github.com/fsnotify/fsnotify", "golang.org/x/sys/unix"},
	"engine/storage/dav":       {"engine", "engine/item", "github.com/emersion/go-webdav", "github.com/emersion/go-webdav/", "golang.org/x/time/rate"},
	"engine/davserver":         {"engine", "engine/item", "github.com/emersion/", "github.com/teambition/rrule-go"},
	"engine/davserver/davtest": {"engine", "engine/davserver", "engine/storage/memory"},

	"transports":      {"transports/", "golang.org/x/sys/unix"},
	"transports/web":  {"transports/", "github.com/icholy/digest", "golang.org/x/oauth2", "golang.org/x/oauth2/"},
	"transports/call": {"transports/", "github.com/creachadair/jrpc2", "github.com/creachadair/jrpc2/"},

	"dbusapi":              {"data", "dbusapi", "dbusapi/", "engine", "engine/feed", "github.com/godbus/", "golang.org/x/sys/unix"},
	"dbusapi/conn":         {"github.com/godbus/"},
	"dbusapi/conn/callers": {"dbusapi", "dbusapi/conn", "github.com/godbus/", "golang.org/x/sys/unix"},
	"dbusapi/tree":         {"dbusapi/conn", "github.com/godbus/"},
	"dbusapi/bustest":      {"dbusapi/conn", "dbusapi/tree", "github.com/godbus/"},
	"dbusapi/client":       {"github.com/godbus/"},
	"dbusapi/desktop":      {"dbusapi/conn", "engine", "github.com/godbus/"},

	"dbusapi/desktop/network": {"dbusapi/conn", "github.com/godbus/", "golang.org/x/sys/unix"},

	"service": anything,
	// The command line is one client among many: what it can do, any program can.
	// Trying a plugin needs no daemon.
	"service/davbus": {"data", "dbusapi/client", "dbusapi/conn", "service/plugin/check", "transports/private", "transports/route", "transports/ssh", "github.com/alecthomas/kong", "github.com/godbus/", "golang.org/x/term", "golang.org/x/sys/unix", "charm.land/", "github.com/charmbracelet/"},
	"service/config": {"engine", "github.com/goccy/go-yaml", "github.com/goccy/go-yaml/", "github.com/google/renameio/v2", "golang.org/x/sys/unix"},
}

var anything = []string{""}

// The pure heart may not even touch these parts of the standard library.
var (
	pure   = []string{"engine/item", "engine/plan", "engine/merge"}
	impure = []string{"context", "io", "log", "math/rand", "net", "os", "sync", "syscall", "time", "database"}
)

// Only the service logs. The benches of tests may name what net/http's servers
// log to.
var (
	loggers = []string{"log", "github.com/rs/zerolog"}
	mayLog  = []string{"service", "service/lab", "engine/davserver/davtest"}
)

func TestLayers(t *testing.T) {
	// The files are read here, not by "go list", so that the test cache knows
	// to run this test again when one of them changes.
	seen := map[string]bool{}
	err := fs.WalkDir(os.DirFS(".."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), "../"+name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		at := ""
		for layer := range layers {
			if under(path.Dir(name), layer) && len(layer) > len(at) {
				at = layer
			}
		}
		if at == "" {
			t.Errorf("%s lies in no layer", name)
			return nil
		}
		seen[at] = true
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if why := forbidden(path.Dir(name), at, imp); why != "" {
				t.Errorf("%s may not import %s: %s", name, imp, why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for layer := range layers {
		if !seen[layer] {
			t.Errorf("layer %s has no code: mend the table", layer)
		}
	}
}

// forbidden tells why a package of a layer may not import something; "" if it
// may.
func forbidden(pkg, layer, imp string) string {
	if slices.ContainsFunc(loggers, func(bad string) bool { return under(imp, bad) }) && !slices.Contains(mayLog, pkg) {
		return "only the service logs"
	}
	first, _, _ := strings.Cut(imp, "/")
	if !strings.Contains(first, ".") {
		if slices.Contains(pure, pkg) && slices.ContainsFunc(impure, func(bad string) bool { return under(imp, bad) }) {
			return "it is pure"
		}
		return ""
	}
	if !slices.ContainsFunc(layers[layer], func(ok string) bool { return allowed(strings.TrimPrefix(imp, module), ok) }) {
		return "layer " + layer + " does not list it"
	}
	return ""
}

func allowed(imp, entry string) bool {
	if entry == "" || strings.HasSuffix(entry, "/") {
		return strings.HasPrefix(imp, entry)
	}
	return imp == entry
}

// under reports whether name is dir or lies below it.
func under(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, dir+"/")
}

func TestTheLayerTestRefusesWhatItShould(t *testing.T) {
	for _, c := range []struct {
		pkg, layer, imp string
		fine            bool
	}{
		{"engine/plan", "engine/plan", "slices", true},
		{"engine/plan", "engine/plan", "time", false},
		{"engine/plan", "engine/plan", "io/fs", false},
		{"engine/item", "engine/item", module + "engine", true},
		{"engine/group", "engine/group", module + "dbusapi", false},
		{"engine/group", "engine/group", module + "transports/web", false},
		{"transports/web", "transports/web", module + "engine", false},
		{"transports/web", "transports/web", module + "transports/route", true},
		{"dbusapi", "dbusapi", module + "engine/keeper", false},
		{"dbusapi", "dbusapi", module + "transports/private", false},
		{"engine/ledger", "engine/ledger", "modernc.org/sqlite", true},
		{"engine/keeper", "engine/keeper", "modernc.org/sqlite", false},
		{"engine/keeper", "engine/keeper", "log/slog", false},
		{"service", "service", "github.com/rs/zerolog", true},
		{"service/davbus", "service/davbus", module + "service", false},
		{"service/config", "service/config", module + "engine/keeper", false},
	} {
		if why := forbidden(c.pkg, c.layer, c.imp); (why == "") != c.fine {
			t.Errorf("%s imports %s: %q", c.pkg, c.imp, why)
		}
	}
}
