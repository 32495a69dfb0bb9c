package plugin

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// Limits of a child. They bound an accident, not an enemy: a plugin runs with
// the rights of the user.
type Limits struct {
	Memory    uint64 // address space in bytes; default 4 GiB
	Files     uint64 // open descriptors; default 256
	Processes uint64 // of the user; 0: not limited
}

// Environment is what a child gets of ours: where things are, and no more.
func Environment(home string) []string {
	env := []string{"HOME=" + home, "DAVBUS_PLUGIN=1"}
	for _, name := range []string{"PATH", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "DBUS_SESSION_BUS_ADDRESS"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// grace is how long a child may take to end by itself.
const grace = 2 * time.Second

// A child is a process and all that it starts.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{}
	state *os.ProcessState
	work  sync.WaitGroup
}

// pipes are the two ends of a child's standard input and output.
type pipes struct {
	io.ReadCloser
	w io.WriteCloser
}

func (p pipes) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p pipes) Close() error                { return errors.Join(p.w.Close(), p.ReadCloser.Close()) }

func launch(opt Options) (*child, io.ReadWriteCloser, error) {
	if len(opt.Argv) == 0 {
		return nil, nil, errors.New("no program is named")
	}
	path, err := exec.LookPath(opt.Argv[0])
	if err != nil {
		return nil, nil, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, nil, err
	}
	cmd := &exec.Cmd{Path: path, Args: opt.Argv, Env: opt.Env, Dir: opt.Dir}
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	confine(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	// Pipes of our own: those of exec are closed by Wait, before all is read.
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		outR.Close()
		outW.Close()
		return nil, nil, err
	}
	cmd.Stdout, cmd.Stderr = outW, errW
	err = cmd.Start()
	outW.Close()
	errW.Close()
	if err != nil {
		in.Close()
		outR.Close()
		errR.Close()
		return nil, nil, err
	}
	c := &child{cmd: cmd, ended: make(chan struct{})}
	limitErr := limit(cmd.Process.Pid, opt.Limits)
	c.work.Go(func() { listen(errR, opt.Stderr) })
	c.work.Go(func() {
		cmd.Wait() // its state is what is asked for
		c.state = cmd.ProcessState
		killGroup(cmd.Process.Pid) // what it left running
		close(c.ended)
	})
	if limitErr != nil {
		in.Close()
		outR.Close()
		c.end()
		return nil, nil, limitErr
	}
	return c, pipes{outR, in}, nil
}

// listen passes on what a child writes to its standard error, line by line;
// overlong lines are cut.
func listen(r io.ReadCloser, tell func(string)) {
	defer r.Close()
	if tell == nil {
		tell = func(string) {}
	}
	const longest = 4096
	in := bufio.NewReaderSize(r, longest)
	for {
		line, cut, err := in.ReadLine()
		if err != nil {
			return
		}
		text := string(line)
		for cut && err == nil {
			_, cut, err = in.ReadLine()
		}
		tell(text)
	}
}

// end waits a moment, then kills.
func (c *child) end() {
	select {
	case <-c.ended:
	case <-time.After(grace):
		killGroup(c.cmd.Process.Pid)
	}
	c.work.Wait()
}

// kill ends it and all that it started, now.
func (c *child) kill() {
	select {
	case <-c.ended: // its number may be another's by now
	default:
		killGroup(c.cmd.Process.Pid)
	}
}

// how says how it ended, after ended.
func (c *child) how() string {
	if c.state == nil {
		return "its end was not seen"
	}
	return c.state.String()
}
