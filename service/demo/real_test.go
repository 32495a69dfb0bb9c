//go:build real

package main

import (
	"os/exec"
	"testing"
)

func TestTheDemoIsSeenToWorkAndToFail(t *testing.T) {
	bin := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin+"/", "davbus.org/davbus/service/davbusd", "davbus.org/davbus/service/davbus").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("TMPDIR", t.TempDir()) // demo sets it; this puts it back
	if code := demo(t.Context(), bin); code != 0 {
		t.Errorf("the demo ends with %d", code)
	}
	t.Setenv("TMPDIR", t.TempDir())
	if code := demo(t.Context(), t.TempDir()); code != 1 {
		t.Errorf("without the programs the demo ends with %d", code)
	}
}
