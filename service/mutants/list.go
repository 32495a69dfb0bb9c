package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A mutant is one broken rule.
type mutant struct {
	rule, file string
	tests      []string
	by         string   // the test that is asked first
	scenarios  []string // by number
	from, to   string
	where      string // file:line of the list, for messages
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
		case strings.HasPrefix(bare, "by "):
			m.by = bare[3:]
		case strings.HasPrefix(bare, "scenarios "):
			m.scenarios = strings.Fields(bare[10:])
		case bare != "":
			return nil, fmt.Errorf("%s: want file, test, by, scenarios, --- from or --- to", where)
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
