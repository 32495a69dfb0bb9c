package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/adrg/xdg"
	"github.com/goccy/go-yaml"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/transports/route"
)

// A pluginFile describes a plugin: see davbus-plugin(7). It lies in
// davbus/plugins/ID.yaml below one of the XDG data folders; the user's comes
// before the system's.
type pluginFile struct {
	Name        string           `yaml:"name"`
	Description string           `yaml:"description"`
	Command     []string         `yaml:"command"`
	Socket      string           `yaml:"socket"`
	Locate      []string         `yaml:"locate"`
	Kinds       []string         `yaml:"kinds"`
	Parameters  []pluginParam    `yaml:"parameters"`
	Timeouts    map[string]int64 `yaml:"timeouts-sec"`
	Remembered  bool             `yaml:"remembered"` // it is what the plugin itself told; nobody wrote it

	onBus bool // the bus has it, or can start it
	met   bool // it has told what its accounts are like
}

type pluginParam struct {
	Name      string   `yaml:"name"`
	Signature string   `yaml:"signature"`
	Required  bool     `yaml:"required"`
	Secret    bool     `yaml:"secret"`
	Default   any      `yaml:"default,omitempty"`
	Choices   []string `yaml:"choices"`
	Summary   string   `yaml:"summary"`
}

var pluginID = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)

// A fault of a plugin's file makes that plugin unusable, and nothing else.
type pluginFault struct {
	path string
	err  error
}

// findPlugins reads the descriptions of all installed plugins, by id.
func findPlugins(dirs []string) (map[string]pluginFile, []pluginFault) {
	found := map[string]pluginFile{}
	var faults []pluginFault
	for _, dir := range dirs {
		names, _ := filepath.Glob(filepath.Join(dir, "davbus", "plugins", "*.yaml"))
		for _, path := range names {
			id := strings.TrimSuffix(filepath.Base(path), ".yaml")
			if _, ok := found[id]; ok {
				continue
			}
			f, err := readPlugin(id, path)
			if err != nil {
				faults = append(faults, pluginFault{path, err})
				continue
			}
			found[id] = f
		}
	}
	return found, faults
}

func readPlugin(id, path string) (pluginFile, error) {
	var f pluginFile
	if !pluginID.MatchString(id) {
		return f, errors.New("the file's name is the plugin's id: a letter, then at most 63 letters, digits and _")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	if err := yaml.UnmarshalWithOptions(text, &f, yaml.Strict()); err != nil {
		return f, fmt.Errorf("%s: %s", path, yaml.FormatError(err, false, true))
	}
	ways := 0
	for _, named := range []bool{len(f.Command) > 0, f.Socket != "", len(f.Locate) > 0} {
		if named {
			ways++
		}
	}
	if ways > 1 {
		return f, errors.New(`it names two of "command", "socket" and "locate"; a plugin is found in one way`)
	}
	if f.Socket != "" {
		if _, err := route.Parse("unix:" + f.Socket); err != nil {
			return f, err
		}
	}
	return f, f.sound()
}

// pluginDirs are where descriptions of plugins lie, the first before the others.
// The last holds what programs told that registered themselves.
func pluginDirs(d dirs) []string {
	return append(append([]string{xdg.DataHome}, xdg.DataDirs...), filepath.Dir(d.state))
}

// maxRemembered is how many programs that registered themselves are remembered.
const maxRemembered = 64

// remember keeps a description, so that accounts of the plugin are valid when
// its program is not there.
func (f pluginFile) remember(d dirs, id string) error {
	dir := filepath.Join(d.state, "plugins")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, id+".yaml")
	_, gone := os.Lstat(path)
	if known, err := os.ReadDir(dir); err != nil || gone != nil && len(known) >= maxRemembered {
		return errors.Join(err, engine.Fail(engine.LimitExceeded, "remember the plugin", id, "%d are remembered already in %s; remove one there", maxRemembered, dir))
	}
	text, err := yaml.Marshal(map[string]any{"name": f.Name, "kinds": f.Kinds, "parameters": f.Parameters, "remembered": true})
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
