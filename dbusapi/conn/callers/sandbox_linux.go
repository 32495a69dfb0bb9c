package callers

import (
	"errors"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What the kernel tells of a process.
type found struct {
	program, app string
	sandboxed    bool
}

// maxInfo bounds what is read of a sandbox's description, which its program may
// have written.
const maxInfo = 64 << 10

// inspect looks at a process. Whatever cannot be found out counts as a sandbox:
// only who shares our root folder, and has no Flatpak description there, is
// outside. (Snap and Flatpak give their programs another root.)
//
// Behind Flatpak's bus proxy the process is the proxy, which has the
// application's description too.
func inspect(proc string, pid int) found {
	out := found{sandboxed: true}
	if pid <= 0 {
		return out
	}
	dir, err := os.Open(path.Join(proc, strconv.Itoa(pid)))
	if err != nil {
		return out
	}
	defer dir.Close()
	at := int(dir.Fd())
	out.program = programName(at)
	var theirs, ours unix.Stat_t
	if unix.Fstatat(at, "root", &theirs, 0) != nil || unix.Stat(path.Join(proc, "self", "root"), &ours) != nil {
		return out
	}
	info, err := unix.Openat(at, "root/.flatpak-info", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err == nil {
		out.app = appID(info)
		unix.Close(info)
		return out
	}
	out.sandboxed = !errors.Is(err, unix.ENOENT) || theirs.Dev != ours.Dev || theirs.Ino != ours.Ino
	return out
}

func programName(at int) string {
	buf := make([]byte, 4096)
	n, err := unix.Readlinkat(at, "exe", buf)
	if err != nil || n == 0 {
		return ""
	}
	return strings.TrimSuffix(path.Base(string(buf[:n])), " (deleted)")
}

// appID finds the application's id in a Flatpak description.
func appID(fd int) string {
	buf := make([]byte, maxInfo)
	n, err := unix.Read(fd, buf)
	if err != nil || n <= 0 {
		return ""
	}
	section := ""
	for line := range strings.SplitSeq(string(buf[:n]), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		key, value, ok := strings.Cut(line, "=")
		if ok && section == "[Application]" && strings.TrimSpace(key) == "name" {
			return checkedID(strings.TrimSpace(value))
		}
	}
	return ""
}

// checkedID gives an id back if it can be one.
func checkedID(id string) string {
	if len(id) > 255 {
		return ""
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return ""
		}
	}
	return id
}
