package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var (
	scenarioTest = regexp.MustCompile(`(?m)^func Test[A-Za-z]*?Scenario(\d+(?:And\d+)*)[A-Z]`)
	failedTest   = regexp.MustCompile(`(?m)^--- FAIL: Test[A-Za-z]*?Scenario(\d+(?:And\d+)*)[A-Z]`)
)

// scenarioPackages are the packages with a test of each scenario, by its number.
func scenarioPackages(root string) (map[string][]string, error) {
	all := map[string][]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		for _, m := range scenarioTest.FindAllStringSubmatch(string(text), -1) {
			for n := range strings.SplitSeq(m[1], "And") {
				if pkg := "./" + filepath.Dir(name); !slices.Contains(all[n], pkg) {
					all[n] = append(all[n], pkg)
				}
			}
		}
		return err
	})
	return all, err
}

// proves demands that the own test of each scenario of a mutant fails.
func (j *judge) proves() error {
	if len(j.scenarios) == 0 {
		return nil
	}
	where, err := scenarioPackages(".")
	if err != nil {
		return err
	}
	pkgs := map[string]bool{}
	for _, n := range j.scenarios {
		for _, pkg := range where[n] {
			pkgs[pkg] = true
		}
	}
	pattern := `Scenario(\d+And)*(` + strings.Join(j.scenarios, "|") + `)(And\d+)*[A-Z]`
	args := append([]string{"test", "-tags", "real", "-vet=off", "-count=1", "-overlay", j.overlay, "-run", pattern}, slices.Sorted(maps.Keys(pkgs))...)
	out, _ := j.command(".", "go", args...)
	failed := map[string]bool{}
	for _, f := range failedTest.FindAllStringSubmatch(out, -1) {
		for n := range strings.SplitSeq(f[1], "And") {
			failed[n] = true
		}
	}
	for _, n := range j.scenarios {
		if !failed[n] {
			return fmt.Errorf("survived the test of scenario %s", n)
		}
	}
	return nil
}
