// Package private listens on Unix sockets that belong to one user. Who connects
// is known from the kernel before a byte is read, and everybody else is turned
// away.
//
// Sockets lie in a folder that only the user may enter. They are made without a
// moment in which others could connect, and a crash leaves none that would be in
// the way of the next start.
package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxPath is what fits into a socket address, the ending zero not counted.
const maxPath = 107

// A Dir is the folder in which private sockets lie.
type Dir struct {
	path string
	file *os.File // holds on to the folder that was checked
}

// OpenDir makes the folder if it is not there, and refuses one that is a link,
// belongs to somebody else or lets others in: names in it could not be trusted.
func OpenDir(path string) (*Dir, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("cannot keep sockets in %q: not an absolute path", path)
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("cannot make the folder for sockets: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot keep sockets in %s: it must be a folder and not a link: %w", path, err)
	}
	if err := checkDir(file); err != nil {
		file.Close()
		return nil, fmt.Errorf("cannot keep sockets in %s: %w", path, err)
	}
	return &Dir{path, file}, nil
}

func checkDir(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("this system does not tell who owns it")
	}
	if int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to uid %d; it must belong to uid %d", st.Uid, os.Geteuid())
	}
	if perm := info.Mode().Perm(); perm != 0o700 {
		return fmt.Errorf("its mode is %04o; it must be 0700 (chmod 700 mends it)", perm)
	}
	return nil
}

// Path is where the folder is.
func (d *Dir) Path() string { return d.path }

// Close lets the folder go; listeners go on.
func (d *Dir) Close() error { return d.file.Close() }

// socketPath gives the path of a socket of that name.
func (d *Dir) socketPath(name string) (string, error) {
	if name == "" || name != filepath.Base(name) || name[0] == '.' {
		return "", fmt.Errorf("cannot listen at %q: not a plain name", name)
	}
	path := filepath.Join(d.path, name)
	if len(path)+len(tempSuffix) > maxPath {
		return "", fmt.Errorf("cannot listen at %s: a socket's path may be %d bytes long and this one takes %d; choose a shorter XDG_RUNTIME_DIR", path, maxPath-len(tempSuffix), len(path))
	}
	return path, nil
}
