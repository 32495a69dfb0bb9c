package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"davbus.org/davbus/transports/call"
)

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
	case "stuck": // never reads, and has a child
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{"PLUGIN_TEST=deaf"}
		cmd.Start()
		fmt.Fprintln(os.Stderr, cmd.Process.Pid)
		select {}
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
