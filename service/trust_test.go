package service

import (
	"fmt"
	"go/build/constraint"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var (
	testCommand = regexp.MustCompile("go test ([^`\n#]*-run [^`\n#]*)")
	tagsOf      = regexp.MustCompile(`-tags (?:'([^']*)'|(\S+))`)
	runOf       = regexp.MustCompile(`-run (?:'([^']*)'|(\S+))`)
	packageOf   = regexp.MustCompile(`\./\S+`)
)

// A command that a document gives runs what it says it runs: the test is in that
// package, under those tags.
func TestEveryCommandOfTheDocumentsRunsItsTest(t *testing.T) {
	documents, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, path := range append(documents, "../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testCommand.FindAllStringSubmatch(string(text), -1) {
			run := runOf.FindStringSubmatch(m[1])
			for name := range strings.SplitSeq(strings.TrimSuffix(run[1]+run[2], "$"), "|") {
				if !strings.HasPrefix(name, "Test") {
					continue // a benchmark's command runs no test
				}
				if checked++; !runs(t, m[1], name) {
					t.Errorf("%s: go test %s runs no %s", path, m[1], name)
				}
			}
		}
	}
	if checked < 25 {
		t.Errorf("only %d commands were found; the documents are read wrongly", checked)
	}
}

// runs tells whether a command of go test finds a test, "TestName" or
// "TestName/Part".
func runs(t *testing.T, command, name string) bool {
	t.Helper()
	name, part, _ := strings.Cut(name, "/")
	var tags []string
	if m := tagsOf.FindStringSubmatch(command); m != nil {
		tags = strings.FieldsFunc(m[1]+m[2], func(r rune) bool { return r == ' ' || r == ',' })
	}
	files, err := filepath.Glob("../" + packageOf.FindString(command) + "/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(") && compiled(t, text, tags) {
			return part == "" || strings.Contains(string(text), `"`+part+`"`)
		}
	}
	return false
}

// compiled tells whether the build line of a file lets it in, on Linux under tags.
func compiled(t *testing.T, text []byte, tags []string) bool {
	t.Helper()
	line, _, _ := strings.Cut(string(text), "\n")
	if !constraint.IsGoBuild(line) {
		return true
	}
	expr, err := constraint.Parse(line)
	if err != nil {
		t.Fatal(err)
	}
	return expr.Eval(func(tag string) bool {
		return slices.Contains(tags, tag) || tag == "linux" || tag == "unix" || tag == runtime.GOARCH
	})
}

// Each row of docs/trust.md says of every program what is known, of davbus "yes",
// and how to see that.
func TestEveryRowOfTheTablesOfTrustIsWholeAndShown(t *testing.T) {
	text, err := os.ReadFile("../docs/trust.md")
	if err != nil {
		t.Fatal(err)
	}
	rows, ours := 0, 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") || strings.HasPrefix(line, "| what befalls it |") {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 8 {
			t.Errorf("%d cells: %s", len(cells), line)
			continue
		}
		alone := true
		for _, cell := range cells[1:6] {
			if !regexp.MustCompile(`^(yes|no|partly|not known|there are none)\b`).MatchString(cell) {
				t.Errorf("%q says neither yes nor no: %s", cell, line)
			}
			alone = alone && !strings.HasPrefix(cell, "yes")
		}
		if alone {
			ours++
		}
		if cells[6] != "yes" || !testCommand.MatchString(cells[7]) {
			t.Errorf("davbus has %q, shown by %q", cells[6], cells[7])
		}
	}
	if said := fmt.Sprintf("in %d of %d rows davbus alone has it", ours, rows); rows < 27 || !strings.Contains(string(text), said) {
		t.Errorf("it should say: %s", said)
	}
}
