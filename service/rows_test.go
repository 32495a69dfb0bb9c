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
	doc, err := os.ReadFile("../docs/sockets.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, rows := allTests(t), map[string]string{}
	for line := range strings.Lines(string(doc)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !regexp.MustCompile(`^ [UTGV]\d`).MatchString(cells[1]) {
			continue
		}
		named := testName.FindAllString(cells[3], -1)
		for _, name := range named {
			if !slices.ContainsFunc(tests, func(s string) bool { return strings.HasPrefix(s, name) }) {
				t.Errorf("%s: there is no test %s…", cells[1], name)
			}
		}
		if len(named) == 0 && !strings.Contains(cells[2], "left out") && !strings.Contains(cells[3], "every test") {
			t.Errorf("%s: no test is named, and it was not left out: %s", cells[1], cells[2])
		}
		for _, id := range strings.Split(strings.TrimSpace(cells[1]), ", ") {
			if rows[id] != "" {
				t.Errorf("%s is there twice", id)
			}
			rows[id] = line
		}
	}
	want := []string{"T23", "T24"}
	for n := 1; n <= 15; n++ {
		want = append(want, fmt.Sprint("U", n))
	}
	for n := 5; n <= 19; n++ {
		want = append(want, fmt.Sprint("T", n))
	}
	for _, id := range want {
		if rows[id] == "" {
			t.Errorf("the row %s is missing", id)
		}
	}
}
