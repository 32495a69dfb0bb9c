package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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

type stdio struct {
	io.Reader
	io.Writer
}

func (stdio) Close() error { return os.Stdin.Close() }

func behave(how string) {
	line := func(text string) { fmt.Println(text) }
	in := json.NewDecoder(os.Stdin)
	var request struct{ ID int }
	switch how {
	case "good":
		p := call.Start(stdio{os.Stdin, os.Stdout}, call.Options{Limit: call.MaxData, Handle: func(ctx context.Context, method string, params json.RawMessage) (any, error) {
			switch method {
			case "fail":
				return nil, call.Named("not-found", "there is no such item")
			case "hang":
				<-ctx.Done()
				return nil, ctx.Err()
			case "environment":
				return map[string]any{"env": os.Environ(), "fds": descriptors(), "dir": wd()}, nil
			}
			return params, nil
		}})
		<-p.Done()
		p.Close()
	case "exit":
		in.Decode(&request)
		fmt.Fprintln(os.Stderr, "I give up")
		os.Exit(3)
	case "garbage":
		in.Decode(&request)
		line("Hello, I am a plugin!")
	case "wrong-id":
		in.Decode(&request)
		line(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":1}`, request.ID+1))
	case "twice":
		in.Decode(&request)
		line(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":1}`, request.ID))
		line(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":1}`, request.ID))
	case "oversize":
		in.Decode(&request)
		big := make([]byte, 1<<20)
		for i := range big {
			big[i] = 'x'
		}
		for range 20 {
			os.Stdout.Write(big)
		}
	case "parent":
		parent()
	case "deaf": // closes its input and stays
		os.Stdin.Close()
		select {}
	case "progress":
		for in.Decode(&request) == nil {
			for range 5 {
				time.Sleep(400 * time.Millisecond)
				line(fmt.Sprintf(`{"jsonrpc":"2.0","method":"$/progress","params":{"id":%d}}`, request.ID))
			}
			line(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":1}`, request.ID))
		}
	case "family": // starts a process that would outlive it
		in.Decode(&request)
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{"PLUGIN_TEST=deaf"}
		cmd.Start()
		line(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":%d}`, request.ID, cmd.Process.Pid))
		in.Decode(&request)
	}
	if how != "exit" && how != "good" {
		io.Copy(io.Discard, os.Stdin)
	}
}

// descriptors are what this process holds beside its standard ones, but for what
// Go itself opens.
func descriptors() []string {
	fds, _ := os.ReadDir("/proc/self/fd")
	out := []string{}
	for _, fd := range fds {
		n, _ := strconv.Atoi(fd.Name())
		to, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if n > 2 && err == nil && !strings.HasPrefix(to, "anon_inode:") && !strings.HasPrefix(to, "/proc/") && !strings.HasPrefix(to, "/sys/fs/cgroup") {
			out = append(out, to)
		}
	}
	return out
}

// parent starts a plugin, tells its process, and stays.
func parent() {
	self, err := os.Executable()
	if err == nil {
		var c *Conn
		if c, err = Start(Options{Argv: []string{self}, Env: []string{"PLUGIN_TEST=deaf"}}); err == nil {
			fmt.Println(c.child.cmd.Process.Pid)
			select {}
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

func wd() string { d, _ := os.Getwd(); return d }

// run starts a plugin that behaves so.
func run(t *testing.T, how string, o Options) *Conn {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o.Argv, o.Env = []string{self}, []string{"PLUGIN_TEST=" + how}
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
	if len(got.Env) != 1 || len(got.FDs) > 0 || got.Dir != "/" {
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

func TestTimeLimit(t *testing.T) {
	c := run(t, "good", Options{Timeouts: Timeouts{"hang": 50 * time.Millisecond}})
	wantFault(t, c.Call(t.Context(), "hang", nil, nil), "timeout")
	// Others are not harmed.
	if err := c.Call(t.Context(), "echo", 1, nil); err != nil {
		t.Error(err)
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
