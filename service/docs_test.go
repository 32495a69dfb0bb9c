package service

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	testNamed    = regexp.MustCompile(`\b(Test|Fuzz|Benchmark)[A-Z0-9]\w*…?`)
)

func TestEveryTestThatTheDocumentsNameExists(t *testing.T) {
	there := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range testFunction.FindAllSubmatch(text, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	exists := func(name string) bool {
		prefix, short := strings.CutSuffix(name, "…")
		if !short {
			return there[name]
		}
		for known := range there {
			if strings.HasPrefix(known, prefix) {
				return true
			}
		}
		return false
	}
	documents, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, path := range append(documents, "../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range testNamed.FindAllString(string(text), -1) {
			if named++; !exists(name) {
				t.Errorf("%s names %s, which does not exist", path, name)
			}
		}
	}
	if named < 30 {
		t.Errorf("only %d tests are named; the documents are read wrongly", named)
	}
}
