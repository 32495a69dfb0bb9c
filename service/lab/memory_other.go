//go:build !linux

package lab

// memory is a folder for what a server keeps.
func memory(t T) string {
	t.Helper()
	return t.TempDir()
}
