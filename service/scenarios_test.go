package service

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The table of scenarios is true: every number stands in it once, every test that
// it names exists where it says and bears the number, and every scenario with a
// test has a mutant. That the test catches the mutant is for make mutants to show.
func TestEveryScenarioHasItsTestAndItsMutant(t *testing.T) {
	tests, mutants := scenarioTests(t), scenarioMutants(t)
	table, err := os.ReadFile("../docs/scenarios.md")
	if err != nil {
		t.Fatal(err)
	}
	next := 1
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \|(.*)\|(.*)\|(.*)\|(.*)\|$`).FindAllStringSubmatch(string(table), -1) {
		n := row[1]
		if n != strconv.Itoa(next) {
			t.Fatalf("after scenario %d comes %s", next-1, n)
		}
		next++
		how, does, named := strings.TrimSpace(row[3]), strings.TrimSpace(row[4]), strings.TrimSpace(row[5])
		switch how {
		case "as is", "adapted":
			if named == "" || how == "adapted" && does == "" || len(mutants[n]) == 0 {
				t.Errorf("scenario %s is met %s, by the tests %q and the mutants %q", n, how, named, mutants[n])
			}
		case "not ours":
			if named != "" || does == "" {
				t.Errorf("scenario %s is not ours: say why, and name no test", n)
			}
		default:
			t.Errorf("scenario %s is %q", n, how)
		}
		var want []string
		for one := range strings.SplitSeq(named, ", ") {
			want = append(want, one)
		}
		if got := tests[n]; named != "" && !slices.Equal(want, got) || named == "" && len(got) > 0 {
			t.Errorf("scenario %s names\n %q, and there are\n %q", n, want, got)
		}
	}
	if next != 90 {
		t.Errorf("the table ends with scenario %d", next-1)
	}
}

// scenarioTests are the tests of each number, as the table writes them.
func scenarioTests(t *testing.T) map[string][]string {
	tests := map[string][]string{}
	name := regexp.MustCompile(`(?m)^func (Test[A-Za-z]*?Scenario(\d+(?:And\d+)*)[A-Z]\w*)\(t`)
	err := fs.WalkDir(os.DirFS(".."), ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile("../" + file)
		for _, m := range name.FindAllStringSubmatch(string(text), -1) {
			for n := range strings.SplitSeq(m[2], "And") {
				tests[n] = append(tests[n], "`"+path.Dir(file)+"` "+m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, all := range tests {
		slices.Sort(all)
	}
	return tests
}

func scenarioMutants(t *testing.T) map[string][]string {
	mutants := map[string][]string{}
	lists, err := fs.Glob(os.DirFS("."), "mutants/lists/*.txt")
	if err != nil || len(lists) == 0 {
		t.Fatal(lists, err)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		rule := ""
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSuffix(line, "\n")
			if strings.HasPrefix(line, "== ") {
				rule = line[3:]
			}
			if numbers, is := strings.CutPrefix(line, "scenarios "); is {
				for n := range strings.FieldsSeq(numbers) {
					mutants[n] = append(mutants[n], rule)
				}
			}
		}
	}
	return mutants
}
