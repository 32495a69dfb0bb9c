package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"davbus.org/davbus/service/lab"
)

// A stage is where the demo happens. It tells what is done and seen, and clears
// itself away whatever comes.
type stage struct {
	ctx      context.Context
	color    bool
	cleanups []func()
	base     string       // everything that is made lies in it
	env      []string     // of the programs that are run
	witness  fmt.Stringer // the daemon: what it said is told when the demo fails
}

var _ lab.T = (*stage)(nil)

// A failure ends the demo by a panic, so that the stage is cleared on the way.
type failure string

func (s *stage) Helper() {}

func (s *stage) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

func (s *stage) Logf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func (s *stage) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *stage) TempDir() string {
	dir, err := os.MkdirTemp("", "home")
	if err != nil {
		s.Fatalf("cannot make a folder: %v", err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// newStage makes the one folder in which everything lies that the demo and its
// parts make.
func newStage(ctx context.Context) (*stage, error) {
	base, err := os.MkdirTemp("", "davbus-demo")
	if err != nil {
		return nil, err
	}
	return &stage{ctx: ctx, color: isTerminal(os.Stdout), base: base}, os.Setenv("TMPDIR", base)
}

// clear ends what was begun, the last first, and tells what is left over: each
// part takes away what it made.
func (s *stage) clear() (left string) {
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		s.cleanups[i]()
	}
	s.cleanups = nil
	list, err := os.ReadDir(s.base)
	for _, f := range list {
		left += " " + f.Name()
	}
	if err == nil {
		err = os.RemoveAll(s.base)
	}
	if err != nil {
		left += " " + err.Error()
	}
	return left
}

func (s *stage) paint(code, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s *stage) title(text string) { fmt.Println("\n" + s.paint("1", "== "+text)) }

func (s *stage) say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// seen tells something that was checked.
func (s *stage) seen(format string, args ...any) {
	fmt.Println(s.paint("32", "  ok ") + fmt.Sprintf(format, args...))
}

func (s *stage) failed(text string) {
	stopped := s.ctx.Err() != nil
	if stopped {
		text = "stopped"
	}
	fmt.Println(s.paint("31", "FAILED ") + text)
	if s.witness != nil && !stopped {
		fmt.Println("davbusd said:")
		fmt.Println(s.witness)
	}
}

// patience is how long something may take to arrive.
const patience = 30 * time.Second

// arrives waits until something that is to happen by itself has happened.
func (s *stage) arrives(what string, there func() bool) {
	began := time.Now()
	ok := lab.Within(patience, func() bool { return s.ctx.Err() != nil || there() })
	if !ok || s.ctx.Err() != nil {
		s.Fatalf("not within %v: %s", patience, what)
	}
	s.seen("%s (%.1f s)", what, time.Since(began).Seconds())
}

// check fails unless it holds.
func (s *stage) check(ok bool, what string, args ...any) {
	if !ok {
		s.Fatalf("this is not so: "+what, args...)
	}
	s.seen(what, args...)
}

// shown runs a command, shows it and what it says, and gives that back. It must
// end well.
func (s *stage) shown(name string, args ...string) string { return s.shownExit(0, name, args...) }

// shownExit is shown for a command that ends with another exit status.
func (s *stage) shownExit(want int, name string, args ...string) string {
	fmt.Println(s.paint("36", "$ "+spell(name, args)))
	out := s.run(want, name, args...)
	for line := range strings.Lines(out) {
		fmt.Print("  " + strings.TrimRight(line, " \n") + "\n")
	}
	return out
}

// live runs a command on the terminal itself, so that it can draw.
func (s *stage) live(name string, args ...string) {
	fmt.Println(s.paint("36", "$ "+spell(name, args)))
	cmd := s.command(name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	if s.color {
		cmd.Stderr = os.Stderr
	}
	if err := cmd.Run(); err != nil {
		s.Fatalf("%s: %v", spell(name, args), err)
	}
}

// quiet runs a command and gives what it says; it must end well.
func (s *stage) quiet(name string, args ...string) string { return s.run(0, name, args...) }

func (s *stage) run(want int, name string, args ...string) string {
	cmd := s.command(name, args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want || want == 0 && err != nil {
		s.Fatalf("%s: %v\n%s", spell(name, args), err, out)
	}
	return string(out)
}

func (s *stage) command(name string, args ...string) *exec.Cmd {
	if path, err := lookup(name, s.env); err == nil {
		name = path
	} else {
		s.Fatalf("%v", err)
	}
	cmd := exec.CommandContext(s.ctx, name, args...)
	cmd.Env = s.env
	cmd.WaitDelay = time.Second
	return cmd
}

// lookup finds a program in the PATH of an environment.
func lookup(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, e := range env {
		path, ok := strings.CutPrefix(e, "PATH=")
		for dir := range strings.SplitSeq(path, ":") {
			if !ok {
				break
			}
			if info, err := os.Stat(dir + "/" + name); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
				return dir + "/" + name, nil
			}
		}
	}
	return "", fmt.Errorf("%s is missing; make demo installs what it needs", name)
}

// spell writes a command as a person would type it.
func spell(name string, args []string) string {
	words := []string{name}
	for _, a := range args {
		switch {
		case a != "" && !strings.ContainsAny(a, " \t\n'\"<>[]{}()$&;|*?\\"):
		case !strings.Contains(a, "'"):
			a = "'" + a + "'"
		case !strings.ContainsAny(a, "\"$`\\!"):
			a = `"` + a + `"`
		default:
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" && os.Getenv("NO_COLOR") == ""
}
