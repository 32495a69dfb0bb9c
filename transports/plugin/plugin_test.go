package plugin

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"davbus.org/davbus/transports/call"
)

// TestMain lets this program be the plugin, well behaved or not.
func TestMain(m *testing.M) {
	if how := os.Getenv("PLUGIN_TEST"); how != "" {
		behave(how)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// run starts a plugin that behaves so.
func run(t *testing.T, how string, o Options) *Conn {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o.Argv, o.Env = []string{self}, []string{"PLUGIN_TEST=" + how, "GORACE=atexit_sleep_ms=0"}
	c, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func wantFault(t *testing.T, err error, what string) {
	t.Helper()
	if f, ok := errors.AsType[*Fault](err); !ok || f.PluginFault() != what {
		t.Errorf("got %v (%T), want a fault %q", err, err, what)
	}
}

func TestAPluginAnswers(t *testing.T) {
	c := run(t, "good", Options{})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			var got int
			if err := c.Call(t.Context(), "echo", i, &got); err != nil || got != i {
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
	wg.Wait()
	err := c.Call(t.Context(), "fail", nil, nil)
	if e, ok := errors.AsType[*call.Error](err); !ok || e.ErrorName() != "not-found" {
		t.Errorf("got %#v", err)
	}
}

func TestAPluginInheritsNothing(t *testing.T) {
	t.Setenv("SECRET_OF_THE_DAEMON", "x")
	leaked, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer leaked.Close()
	c := run(t, "good", Options{})
	var got struct {
		Env []string
		FDs []string
		Dir string
	}
	if err := c.Call(t.Context(), "environment", nil, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Env) != 2 || len(got.FDs) > 0 || got.Dir != "/" {
		t.Errorf("%+v", got)
	}
}

func TestHostilePlugins(t *testing.T) {
	for how, what := range map[string]string{
		"exit": "gone", "garbage": "protocol", "wrong-id": "protocol", "oversize": "protocol", "deaf": "gone",
	} {
		t.Run(how, func(t *testing.T) {
			var mu sync.Mutex
			var said []string
			c := run(t, how, Options{Stderr: func(s string) { mu.Lock(); defer mu.Unlock(); said = append(said, s) }, Timeouts: Timeouts{"x": 20 * time.Second}})
			err := c.Call(t.Context(), "x", strings.Repeat("x", 1<<20), nil)
			wantFault(t, err, what)
			wantFault(t, c.Call(t.Context(), "x", nil, nil), what)
			c.Close()
			mu.Lock()
			defer mu.Unlock()
			if how == "exit" && (strings.Join(said, "") != "I give up" || !strings.Contains(err.Error(), "exit status 3")) {
				t.Errorf("stderr %q, error %v", said, err)
			}
		})
	}
}

func TestASecondAnswerEndsTheConnection(t *testing.T) {
	c := run(t, "twice", Options{})
	if err := c.Call(t.Context(), "x", nil, nil); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	wantFault(t, c.Call(t.Context(), "x", nil, nil), "protocol")
}

// A plugin that never reads is ended at the first call that it does not answer,
// with all that it started, and nothing waits for it again: neither a call that
// it has not seen, nor one that is too long for its pipe.
func TestAPluginThatAnswersNothingIsEndedAtTheFirstTimeout(t *testing.T) {
	for _, size := range []int{1, 1 << 20} {
		said := make(chan string, 10)
		c := run(t, "stuck", Options{Timeouts: Timeouts{"x": 200 * time.Millisecond}, Stderr: func(s string) { said <- s }})
		family, err := strconv.Atoi(<-said)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Call(t.Context(), "x", strings.Repeat("x", size), nil)
		wantFault(t, err, "hung")
		if !strings.Contains(err.Error(), "x within 200ms") {
			t.Errorf("the error does not say what it waited for: %v", err)
		}
		for _, pid := range []int{c.child.cmd.Process.Pid, family} {
			for deadline := time.Now().Add(30 * time.Second); alive(pid); {
				if time.Now().After(deadline) {
					syscall.Kill(pid, syscall.SIGKILL)
					t.Fatalf("process %d goes on", pid)
				}
			}
		}
		wantFault(t, c.Call(t.Context(), "y", nil, nil), "gone") // whose time would be a minute
	}
}

func TestProgressExtendsTheTime(t *testing.T) {
	c := run(t, "progress", Options{Timeouts: Timeouts{"x": 1500 * time.Millisecond}})
	if err := c.Call(t.Context(), "x", nil, nil); err != nil {
		t.Errorf("a call that told progress all the time: %v", err)
	}
}

func TestEverythingThatAPluginStartedEndsWithIt(t *testing.T) {
	c := run(t, "family", Options{})
	var pid int
	if err := c.Call(t.Context(), "x", nil, &pid); err != nil {
		t.Fatal(err)
	}
	c.Close()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); {
		if time.Now().After(deadline) {
			syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("process %d goes on", pid)
		}
	}
}

// alive tells whether a process runs; one that waits to be reaped by somebody
// else's parent does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func TestAProgramThatIsNotThere(t *testing.T) {
	for _, argv := range [][]string{nil, {"/nonexistent/plugin"}} {
		_, err := Start(Options{Argv: argv})
		wantFault(t, err, "missing")
	}
}

func TestMemoryLimit(t *testing.T) {
	c := run(t, "good", Options{Limits: Limits{Files: 64}})
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", c.child.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Max open files            64", "Max address space         4294967296", "Max core file size        0"} {
		if !strings.Contains(string(limits), want) {
			t.Errorf("no %q in\n%s", want, limits)
		}
	}
}
