package lab

import (
	"os"
	"path/filepath"
)

// A HomeDir is a home without a past: nothing of the person who runs the test is
// in it or leads out of it.
type HomeDir struct {
	Dir                         string
	Config, State, Share, Cache string // the XDG folders, all made
	Runtime                     string // private, and with a path short enough for sockets
}

// Home makes one.
func Home(t T) HomeDir {
	t.Helper()
	dir := t.TempDir()
	h := HomeDir{
		Dir: dir, Config: filepath.Join(dir, ".config"), State: filepath.Join(dir, ".local/state"),
		Share: filepath.Join(dir, ".local/share"), Cache: filepath.Join(dir, ".cache"), Runtime: shortDir(t),
	}
	for _, d := range []string{h.Config, h.State, h.Share, h.Cache, h.Runtime} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatalf("cannot make a home: %v", err)
		}
	}
	return h
}

// Env is the environment of a program that lives there, with "NAME=value" added.
func (h HomeDir) Env(more ...string) []string {
	return append(plainEnv(
		"HOME="+h.Dir, "XDG_CONFIG_HOME="+h.Config, "XDG_STATE_HOME="+h.State, "XDG_DATA_HOME="+h.Share,
		"XDG_CACHE_HOME="+h.Cache, "XDG_RUNTIME_DIR="+h.Runtime), more...)
}
