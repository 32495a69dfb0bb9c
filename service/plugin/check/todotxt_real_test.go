//go:build real

package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
)

func TestTheTodoTxtPluginKeepsEveryRule(t *testing.T) {
	program, err := filepath.Abs("../../../data/plugins/davbus-todotxt")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "todo.txt")
	const before = "(A) Call Mum +family due:2026-12-01 uid:a\nx 2026-01-01 Buy milk uid:b\n"
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if broken := Run(t.Context(), Options{Argv: []string{program}, Params: engine.Params{"path": path}}, &out); broken != 0 {
		t.Errorf("%d broken:\n%s", broken, out.String())
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != before {
		t.Errorf("the file afterwards, %v:\n%s", err, after)
	}
}
