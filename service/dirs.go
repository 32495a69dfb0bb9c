package service

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/adrg/xdg"
)

// dirs are the folders that davbus lives in.
type dirs struct {
	home, config, state, runtime string
	data                         string // for what is the user's own and not only our state
	session                      string // XDG_RUNTIME_DIR itself, for %t; "" without one
	madeRuntime                  bool   // there is no XDG_RUNTIME_DIR
}

// findDirs finds them by the XDG variables and makes those that are ours alone.
// The configuration's folder is made when something is written there.
func findDirs(getenv func(string) string) (dirs, error) {
	d := dirs{home: xdg.Home, config: filepath.Join(xdg.ConfigHome, "davbus"), state: filepath.Join(xdg.StateHome, "davbus"), data: filepath.Join(xdg.DataHome, "davbus")}
	if base := getenv("XDG_STATE_HOME"); filepath.IsAbs(base) {
		d.state = filepath.Join(base, "davbus")
	}
	if err := makePrivate(d.state); err != nil {
		return d, err
	}
	// Where the variable is not set nothing says that a folder is ours alone and
	// goes away with the session, so we keep one of our own, never below /tmp.
	if base := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(base) {
		d.session, d.runtime = base, filepath.Join(base, "davbus")
	} else {
		d.runtime, d.madeRuntime = filepath.Join(d.state, "run"), true
	}
	return d, makePrivate(d.runtime)
}

// makePrivate makes a folder that nobody else may enter, or refuses one that
// somebody else may.
func makePrivate(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("cannot make the folder %s: %w", path, err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("cannot use the folder %s: %w", path, err)
	}
	if !info.IsDir() || !ours(info) {
		return fmt.Errorf("cannot use the folder %s: it is not a folder of this user", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(path, 0o700); err != nil {
			return fmt.Errorf("cannot make the folder %s private: %w", path, err)
		}
	}
	return nil
}
