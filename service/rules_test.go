package service

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every rule in the table of docs/engine.md has a mutant, and every mutant that it
// names is there. That a test notices it is for make mutants to show.
func TestEveryRuleOfTheEngineHasItsMutants(t *testing.T) {
	lists, err := filepath.Glob("mutants/lists/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^== (.*)$`).FindAllStringSubmatch(string(text), -1) {
			if there[m[1]] {
				t.Errorf("there are two mutants %q", m[1])
			}
			there[m[1]] = true
		}
	}
	text, err := os.ReadFile("../docs/engine.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| rule | mutants |")
	table, _, _ = strings.Cut(table, "\n\n")
	rules := 0
	for _, row := range regexp.MustCompile(`(?m)^\| ([^*|-][^|]*) \| ([^|]*) ?\|$`).FindAllStringSubmatch(table, -1) {
		rules++
		for mutant := range strings.SplitSeq(strings.TrimSpace(row[2]), "; ") {
			if !there[mutant] {
				t.Errorf("%s: there is no mutant %q", row[1], mutant)
			}
		}
	}
	if rules < 35 {
		t.Errorf("only %d rules stand in the table", rules)
	}
}
