// Command mutants breaks the rules of the engine one at a time and demands that
// a test notices. `make mutants` runs it.
//
// Each file below mutants/ lists mutants of one package, in this form:
//
//	== the rule that is broken, in the words of the design
//	file engine/plan/reconcile.go
//	test ./engine/plan ./engine/group
//	--- from
//	one or more lines that stand exactly once in the file
//	--- to
//	the lines to put there
//
// A line "scenarios N ..." names scenarios of docs/scenarios.md whose own tests
// must fail too. A mutant that does not apply, does not compile or survives fails the run, and so
// does a package whose tests fail without any. The tree is not touched: the
// compiler is given the changed file as an overlay.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A mutant is one broken rule.
type mutant struct {
	rule, file string
	tests      []string
	scenarios  []string // by number
	from, to   string
	where      string // file:line of the list, for messages
}

// limit is how long the tests of one package may run with a mutant; one that never
// ends counts as noticed. soundLimit is for all of them without any.
const (
	limit      = 3 * time.Minute
	soundLimit = 20 * time.Minute
)

func main() {
	lists := flag.String("lists", "service/mutants/lists", "the folder of lists")
	only := flag.String("only", "", "run only mutants whose rule or file contains this")
	flag.Parse()
	if err := run(*lists, *only); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(folder, only string) error {
	all, err := load(folder)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "davbus-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)

	all = slices.DeleteFunc(all, func(m mutant) bool {
		return !strings.Contains(m.rule, only) && !strings.Contains(m.file, only)
	})
	if len(all) == 0 {
		return errors.New("no mutant has that in its rule or file")
	}
	if err := sound(all); err != nil {
		return err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, 2)
	bad := 0
	for i, m := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			by, err := m.try(filepath.Join(tmp, fmt.Sprint(i)))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				bad++
				fmt.Printf("BAD    %s: %s\n       %v\n", m.where, m.rule, err)
			} else {
				fmt.Printf("caught %s: %s: %s\n", m.where, m.rule, by)
			}
		})
	}
	wg.Wait()
	fmt.Printf("%d mutants, %d caught, %d not\n", len(all), len(all)-bad, bad)
	if bad > 0 {
		return errors.New("not every mutant was caught")
	}
	return nil
}

// sound checks that the tests pass without mutants: a test that always fails
// would "catch" all of them.
func sound(all []mutant) error {
	var pkgs []string
	for _, m := range all {
		pkgs = append(pkgs, m.tests...)
	}
	slices.Sort(pkgs)
	out, err := gotool(soundLimit, append([]string{"test"}, slices.Compact(pkgs)...)...)
	if err != nil {
		return fmt.Errorf("the tests fail without a mutant (%w):\n%s", err, out)
	}
	return nil
}

// try gives the test that noticed the mutant.
func (m mutant) try(dir string) (string, error) {
	overlay, err := m.overlay(dir)
	if err != nil {
		return "", err
	}
	if out, err := gotool(limit, "build", "-overlay", overlay, "./"+filepath.Dir(m.file)); err != nil {
		return "", fmt.Errorf("does not compile: %s", out)
	}
	for _, pkg := range m.tests {
		out, err := gotool(limit, "test", "-count=1", "-failfast", "-overlay", overlay, pkg)
		switch name := failed.FindStringSubmatch(out); {
		case err == nil:
		case name != nil:
			return name[1], m.proves(overlay)
		case errors.Is(err, context.DeadlineExceeded):
			return "its tests never end", m.proves(overlay)
		case strings.Contains(out, "panic: "):
			return "panic", m.proves(overlay)
		default:
			return "", fmt.Errorf("no test noticed it, but the tests of %s fail: %s", pkg, out)
		}
	}
	return "", fmt.Errorf("survived the tests of %s", strings.Join(m.tests, " "))
}

// failed finds the first test that failed.
var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// overlay writes the changed file and what tells the compiler of it.
func (m mutant) overlay(dir string) (string, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	text, err := os.ReadFile(m.file)
	if err != nil {
		return "", fmt.Errorf("does not apply: %w", err)
	}
	if n := bytes.Count(text, []byte(m.from)); n != 1 {
		return "", fmt.Errorf("does not apply: its text stands %d times in %s", n, m.file)
	}
	mutated := filepath.Join(dir, filepath.Base(m.file))
	if err := os.WriteFile(mutated, bytes.Replace(text, []byte(m.from), []byte(m.to), 1), 0o600); err != nil {
		return "", err
	}
	original, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutated}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}

// gotool gives context.DeadlineExceeded if it takes longer than limit.
func gotool(limit time.Duration, args ...string) (string, error) {
	ctx, stop := context.WithTimeout(context.Background(), limit)
	defer stop()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.WaitDelay = time.Second
	if os.Getenv("DAVBUS_STORMS") == "" {
		cmd.Env = append(os.Environ(), "DAVBUS_STORMS=300", "DAVBUS_WORLDS=30000") // what is broken breaks soon
	}
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return string(out), err
}

func load(folder string) ([]mutant, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []mutant
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		some, err := parse(name, string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func parse(name, text string) ([]mutant, error) {
	var all []mutant
	var m *mutant
	var into *string
	for i, line := range strings.SplitAfter(text, "\n") {
		where := fmt.Sprintf("%s:%d", name, i+1)
		bare := strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(bare, "== "):
			all = append(all, mutant{rule: bare[3:], where: where})
			m, into = &all[len(all)-1], nil
		case m == nil:
			if bare != "" && !strings.HasPrefix(bare, "#") {
				return nil, fmt.Errorf("%s: a mutant begins with \"== RULE\"", where)
			}
		case bare == "--- from":
			into = &m.from
		case bare == "--- to":
			into = &m.to
		case into != nil:
			*into += line
		case strings.HasPrefix(bare, "file "):
			m.file = bare[5:]
		case strings.HasPrefix(bare, "test "):
			m.tests = strings.Fields(bare[5:])
		case strings.HasPrefix(bare, "scenarios "):
			m.scenarios = strings.Fields(bare[10:])
		case bare != "":
			return nil, fmt.Errorf("%s: want file, test, --- from or --- to", where)
		}
	}
	for i := range all {
		// The blank line between two mutants is not part of the first.
		all[i].from, all[i].to = strings.TrimRight(all[i].from, "\n"), strings.TrimRight(all[i].to, "\n")
		if m := all[i]; m.file == "" || len(m.tests) == 0 || m.from == "" || m.from == m.to {
			return nil, fmt.Errorf("%s: a mutant needs file, test, from, and a different to", m.where)
		}
	}
	return all, nil
}
