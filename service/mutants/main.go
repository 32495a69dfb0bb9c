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
// A mutant that does not apply, does not compile or survives fails the run. The
// tree is not touched: the compiler is given the changed file as an overlay.
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
	"strings"
	"sync"
	"time"
)

// A mutant is one broken rule.
type mutant struct {
	rule, file string
	tests      []string
	from, to   string
	where      string // file:line of the list, for messages
}

// limit is how long the tests of one mutant may run; one that never ends counts
// as noticed.
const limit = 3 * time.Minute

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

	var wg sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, 2)
	bad, ran := 0, 0
	for i, m := range all {
		if only != "" && !strings.Contains(m.rule, only) && !strings.Contains(m.file, only) {
			continue
		}
		ran++
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			err := m.try(filepath.Join(tmp, fmt.Sprint(i)))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				bad++
				fmt.Printf("BAD    %s: %s\n       %v\n", m.where, m.rule, err)
			} else {
				fmt.Printf("caught %s: %s\n", m.where, m.rule)
			}
		})
	}
	wg.Wait()
	fmt.Printf("%d mutants, %d caught, %d not\n", ran, ran-bad, bad)
	if bad > 0 || ran == 0 {
		return errors.New("not every mutant was caught")
	}
	return nil
}

// try gives nil if the mutant applies, compiles and is noticed.
func (m mutant) try(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	text, err := os.ReadFile(m.file)
	if err != nil {
		return fmt.Errorf("does not apply: %w", err)
	}
	if n := bytes.Count(text, []byte(m.from)); n != 1 {
		return fmt.Errorf("does not apply: its text stands %d times in %s", n, m.file)
	}
	mutated := filepath.Join(dir, filepath.Base(m.file))
	if err := os.WriteFile(mutated, bytes.Replace(text, []byte(m.from), []byte(m.to), 1), 0o600); err != nil {
		return err
	}
	original, err := filepath.Abs(m.file)
	if err != nil {
		return err
	}
	overlay := filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutated}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		return err
	}
	if out, err := gotool("build", "-overlay", overlay, "./"+filepath.Dir(m.file)); err != nil {
		return fmt.Errorf("does not compile: %s", out)
	}
	for _, pkg := range m.tests {
		if _, err := gotool("test", "-count=1", "-overlay", overlay, pkg); err != nil {
			return nil
		}
	}
	return fmt.Errorf("survived the tests of %s", strings.Join(m.tests, " "))
}

func gotool(args ...string) (string, error) {
	ctx, stop := context.WithTimeout(context.Background(), limit)
	defer stop()
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
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
