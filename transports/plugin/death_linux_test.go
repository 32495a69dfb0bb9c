package plugin

import (
	"bufio"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A plugin ends with davbusd, though that was killed and could do nothing for it.
func TestAPluginEndsWithADaemonThatIsKilled(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"PLUGIN_TEST=parent"}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, wrong := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || wrong != nil {
		cmd.Process.Kill()
		cmd.Wait()
		t.Fatalf("it tells %q: %v", line, err)
	}
	cmd.Process.Kill()
	cmd.Wait() // it was killed
	for deadline := time.Now().Add(30 * time.Second); alive(pid); {
		if time.Now().After(deadline) {
			syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("process %d goes on", pid)
		}
	}
}
