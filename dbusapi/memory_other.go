//go:build !linux

package dbusapi

import (
	"io"
	"os"

	"davbus.org/davbus/engine"
)

// fileOf gives a file to be read to its end. It has no name from the start, and
// only we could ever open it.
func fileOf(text []byte) (*os.File, error) {
	fail := func(err error) (*os.File, error) {
		return nil, engine.Fail(engine.StorageError, "make a file", "", "%w", err)
	}
	f, err := os.CreateTemp("", "davbus-version-")
	if err != nil {
		return fail(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return fail(err)
	}
	if _, err := f.Write(text); err != nil {
		f.Close()
		return fail(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		f.Close()
		return fail(err)
	}
	return f, nil
}
