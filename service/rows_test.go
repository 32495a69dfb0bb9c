package service

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	testName = regexp.MustCompile(`Test\w+`)
)

// allTests are the names of all tests of the project, of every build.
func allTests(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllSubmatch(source, -1) {
			names = append(names, string(m[1]))
		}
		return err
	})
	if err != nil || len(names) < 500 {
		t.Fatalf("%d tests, %v", len(names), err)
	}
	return names
}

// The table of docs/sockets.md has every row of control and streams, and says of
// each either that it was left out or which tests there are.
func TestEveryRowOfTheSocketsHasItsTest(t *testing.T) {
	want := []string{"T23", "T24"}
	for n := 1; n <= 15; n++ {
		want = append(want, fmt.Sprint("U", n))
	}
	for n := 5; n <= 19; n++ {
		want = append(want, fmt.Sprint("T", n))
	}
	everyRow(t, "../docs/sockets.md", regexp.MustCompile(`^ [UTGV]\d`), want)
}

// And so has that of docs/plugins.md every row of plugins.
func TestEveryRowOfThePluginsHasItsTest(t *testing.T) {
	var want []string
	for n := 1; n <= 35; n++ {
		want = append(want, fmt.Sprint("O", n))
	}
	everyRow(t, "../docs/plugins.md", regexp.MustCompile(`^ O\d`), want)
}

// everyRow reads a table whose second last cell is how a row is met and whose last
// names its tests.
func everyRow(t *testing.T, path string, row *regexp.Regexp, want []string) {
	t.Helper()
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tests, rows := allTests(t), map[string]bool{}
	for line := range strings.Lines(string(doc)) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !row.MatchString(cells[1]) {
			continue
		}
		how, proof := cells[len(cells)-3], cells[len(cells)-2]
		named := testName.FindAllString(proof, -1)
		for _, name := range named {
			if !slices.ContainsFunc(tests, func(s string) bool { return strings.HasPrefix(s, name) }) {
				t.Errorf("%s: there is no test %s…", cells[1], name)
			}
		}
		if len(named) == 0 && !strings.Contains(how, "left") && !strings.Contains(proof, "every test") {
			t.Errorf("%s: no test is named, and it was not left out: %s", cells[1], how)
		}
		for _, id := range strings.Split(strings.TrimSpace(cells[1]), ", ") {
			if rows[id] {
				t.Errorf("%s is there twice", id)
			}
			rows[id] = true
		}
	}
	for _, id := range want {
		if !rows[id] {
			t.Errorf("the row %s is missing", id)
		}
	}
}
