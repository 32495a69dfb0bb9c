package service

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// programOf tells what a process is, and whether it may be in a sandbox: any
// doubt says yes. The process that the bus names for a sandboxed program is the
// proxy that speaks for it, which runs in the sandbox too.
func programOf(pid uint32) (name string, sandboxed bool) {
	proc := "/proc/" + strconv.FormatUint(uint64(pid), 10)
	info, err := os.ReadFile(proc + "/root/.flatpak-info")
	if err == nil {
		return flatpakID(info), true
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", true
	}
	cgroup, err := os.ReadFile(proc + "/cgroup")
	if err != nil || bytes.Contains(cgroup, []byte("/snap.")) {
		return "", true
	}
	exe, err := os.Readlink(proc + "/exe")
	if err != nil || pid == 0 {
		return "", true
	}
	return filepath.Base(strings.TrimSuffix(exe, " (deleted)")), false
}

func flatpakID(info []byte) string {
	lines := bufio.NewScanner(bytes.NewReader(info))
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "name="); ok {
			return id
		}
	}
	return ""
}
