//go:build real && further

package service

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// floods is a plugin in Python: it answers well until it is asked for its items,
// and then writes without end.
const floods = `#!/usr/bin/python3
import json, sys
how = sys.argv[1]
ANSWERS = {"initialize": {"protocol": 1, "name": "flood"}, "discover": {"collections": [{"id": "cal", "kind": "calendar"}]}}
for line in sys.stdin:
    call = json.loads(line)
    if call.get("method") == "get_changes":
        stream = call["params"]["stream"]
        change = {"jsonrpc": "2.0", "method": "change", "params": {"stream": stream, "ref": "x", "text": "x" * (1 << 18)}}
        said = json.dumps({"jsonrpc": "2.0", "method": "log", "params": {"text": "y" * 1000}} if how == "log" else change) + "\n"
        while True:
            if how == "line":
                sys.stdout.write("x" * (1 << 20))
            elif how == "stderr":
                sys.stderr.write("z" * 1000 + "\n")
            else:
                sys.stdout.write(said)
    elif "id" in call:
        print(json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": ANSWERS.get(call["method"], {})}), flush=True)
`

// The memory of davbusd, as the system counts it, is bounded whatever a plugin
// pours in; its own account fails with a named error, and another goes on.
func TestFurtherAFloodOfAPluginIsBoundedInMemoryAndLog(t *testing.T) {
	programs := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", programs, "./davbusd", "./davbus").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for how, want := range map[string]string{"text": "PluginProtocol", "line": "PluginProtocol", "log": "Timeout", "stderr": "Timeout"} {
		t.Run(how, func(t *testing.T) {
			m := newMachine(t, programs)
			program := filepath.Join(m.Dir, "flood")
			if err := os.WriteFile(program, []byte(floods), 0o700); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"here/cal", "a/cal", "b/cal"} {
				if err := os.MkdirAll(filepath.Join(m.Dir, path), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(m.Dir, "a/cal/one.ics"), []byte(vevent("one", "One")), 0o600); err != nil {
				t.Fatal(err)
			}
			m.davbus("account", "add", "flood", "plugin:davbus", "via=exec:"+program+" "+how, "timeouts=get_changes="+map[string]string{"Timeout": "2", "PluginProtocol": "100"}[want])
			for _, id := range []string{"here", "a", "b"} {
				m.davbus("account", "add", id, "vdir", "path="+filepath.Join(m.Dir, id))
			}
			m.davbus("group", "add", "bad", "flood/cal", "here/cal")
			m.davbus("group", "add", "good", "a/cal", "b/cal")
			flooded := make(chan string, 1)
			go func() { out, _ := m.try("sync", "bad", "--json"); flooded <- out }()
			m.davbus("sync", "good")
			if _, err := os.Stat(filepath.Join(m.Dir, "b/cal/one.ics")); err != nil {
				t.Error("another account was not synced meanwhile:", err)
			}
			if said := <-flooded; !strings.Contains(said, want) {
				t.Errorf("its own says %s; want %s", said, want)
			}
			const most = 900 // MiB; 256 of texts may be in one answer
			if peak := peakMemory(t, m.daemon.Pid()); peak > most {
				t.Errorf("davbusd took %d MiB", peak)
			} else {
				t.Logf("davbusd took %d MiB", peak)
			}
			if said := m.daemon.String(); want == "Timeout" && !strings.Contains(said, "lines were left out") {
				t.Errorf("the log does not say that lines were left out:\n%s", said)
			}
		})
	}
}

// peakMemory is the most that a process ever had, in MiB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n >> 10
}
