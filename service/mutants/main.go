// Command mutants breaks the rules of the engine one at a time and demands that
// a test notices. `make mutants` runs it.
//
// Each file below mutants/ lists mutants of one package, in this form:
//
//	== the rule that is broken, in the words of the design
//	file engine/plan/reconcile.go
//	test ./engine/plan ./engine/group
//	by TestEveryRowKeepsTheRules
//	--- from
//	one or more lines that stand exactly once in the file
//	--- to
//	the lines to put there
//
// The test named by "by" is asked first, which saves time; if it notices nothing,
// all of them are. A line "scenarios N ..." names scenarios of docs/scenarios.md
// whose own tests must fail too. A mutant that does not apply, does not compile or
// survives fails the run, and so does a package whose tests fail without any. The
// tree is not touched: the compiler is given the changed file as an overlay.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// limit is how long the tests of one package may run with a mutant; one that never
// ends counts as noticed. soundLimit is for all of them without any.
const (
	limit      = 3 * time.Minute
	soundLimit = 20 * time.Minute
)

func main() {
	lists := flag.String("lists", "service/mutants/lists", "the folder of lists")
	only := flag.String("only", "", "run only mutants whose rule or file contains this")
	part := flag.String("part", "1/1", "run one part of them: 2/8 is the second of eight")
	flag.Parse()
	if err := run(*lists, *only, *part); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(folder, only, part string) error {
	all, err := choose(folder, only, part)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "davbus-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)

	if err := sound(all); err != nil {
		return err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, 2)
	bad, whole := 0, time.Duration(0)
	for i, m := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			j := &judge{mutant: m, dir: filepath.Join(tmp, fmt.Sprint(i))}
			by, err := j.try()
			os.RemoveAll(j.dir)
			mu.Lock()
			defer mu.Unlock()
			whole += j.spent
			if err != nil {
				bad++
				fmt.Printf("BAD    %s: %s (%.0f s)\n       %v\n", m.where, m.rule, j.spent.Seconds(), err)
			} else {
				fmt.Printf("caught %s: %s: %s (%.0f s)\n", m.where, m.rule, by, j.spent.Seconds())
			}
		})
	}
	wg.Wait()
	fmt.Printf("%d mutants, %d caught, %d not; %.1f minutes of one processor\n", len(all), len(all)-bad, bad, whole.Minutes())
	if bad > 0 {
		return errors.New("not every mutant was caught")
	}
	return nil
}

// choose gives the mutants of a run. Those of one package go to different parts, so
// that all parts take about as long.
func choose(folder, only, part string) ([]mutant, error) {
	all, err := load(folder)
	if err != nil {
		return nil, err
	}
	var nth, of int
	if _, err := fmt.Sscanf(part, "%d/%d", &nth, &of); err != nil || nth < 1 || nth > of {
		return nil, fmt.Errorf("-part %s: want N/M, such as 2/8 for the second of eight", part)
	}
	var chosen []mutant
	for i, m := range all {
		if i%of == nth-1 && (strings.Contains(m.rule, only) || strings.Contains(m.file, only)) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return nil, errors.New("no mutant of this part has that in its rule or file")
	}
	return chosen, nil
}

// sound checks that the tests pass without mutants: a test that always fails
// would "catch" all of them.
func sound(all []mutant) error {
	var pkgs []string
	for _, m := range all {
		pkgs = append(pkgs, m.tests...)
	}
	slices.Sort(pkgs)
	out, _, err := command(soundLimit, ".", "go", append([]string{"test"}, slices.Compact(pkgs)...)...)
	if err != nil {
		return fmt.Errorf("the tests fail without a mutant (%w):\n%s", err, out)
	}
	return nil
}
