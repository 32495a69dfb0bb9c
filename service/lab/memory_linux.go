package lab

import (
	"os"
	"syscall"
)

// memory is a folder for what a server keeps, in memory where there is room: each
// item would wait for the disk otherwise, and no test cuts a server's power.
func memory(t T) string {
	t.Helper()
	const shm, room = "/dev/shm", 1 << 30
	var fs syscall.Statfs_t
	if syscall.Statfs(shm, &fs) != nil || int64(fs.Bavail)*int64(fs.Bsize) < room {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(shm, "lab")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
