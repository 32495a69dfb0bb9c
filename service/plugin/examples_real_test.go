//go:build real

package plugin_test

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/service/plugin/check"
)

// The examples for authors in other languages keep every rule and answer every
// vector.
func TestTheExampleInPythonIsAGoodPlugin(t *testing.T) {
	isGood(t, "contacts-csv.py", "contacts.csv", "plugin-contacts.jsonl", "plugin-properties.jsonl")
}

func isGood(t *testing.T, name, path string, files ...string) {
	program, err := filepath.Abs("../../data/examples/plugins/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if broken := check.Run(t.Context(), check.Options{Argv: []string{program}, Params: engine.Params{"path": filepath.Join(t.TempDir(), path)}}, &out); broken != 0 {
		t.Errorf("%d rules are broken:\n%s", broken, out.String())
	}
	for _, file := range files {
		answers(t, program, path, file)
	}
}

func answers(t *testing.T, program, path, file string) {
	cmd := exec.CommandContext(t.Context(), program)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	parameters := map[string]any{"path": filepath.Join(t.TempDir(), path)}
	(&trial{t: t, out: in, in: bufio.NewReader(from), bound: map[string]any{"$parameters": parameters}}).run(vectors(t, file))
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
