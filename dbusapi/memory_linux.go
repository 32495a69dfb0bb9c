package dbusapi

import (
	"os"

	"golang.org/x/sys/unix"

	"davbus.org/davbus/engine"
)

// fileOf gives a file to be read to its end. It is in memory and sealed, so
// nobody has to wait for a slow reader, and the text is on no disk.
func fileOf(text []byte) (*os.File, error) {
	fail := func(err error) (*os.File, error) {
		return nil, engine.Fail(engine.StorageError, "make a file in memory", "", "%w", err)
	}
	fd, err := unix.MemfdCreate("davbus-version", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return fail(err)
	}
	f := os.NewFile(uintptr(fd), "version")
	if _, err := f.WriteAt(text, 0); err != nil {
		f.Close()
		return fail(err)
	}
	seals := unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		f.Close()
		return fail(err)
	}
	return f, nil
}
