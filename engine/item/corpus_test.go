package item_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/item/itemtest"
)

// notWellFormed are the items of our corpus that a sync cannot take apart.
var notWellFormed = []string{"card-no-end.vcf", "event-no-sense-inside.ics", "made-cr-only.ics"}

func TestCorpus(t *testing.T) {
	const seed = 14
	rng := rand.New(rand.NewPCG(seed, 0))
	names := map[string]bool{}
	for _, c := range itemtest.Corpus() {
		if names[c.Name] {
			t.Errorf("%s is there twice", c.Name)
		}
		names[c.Name] = true
		i := item.Read(c.Text)
		if broken := strings.HasPrefix(c.Name, "broken-") || slices.Contains(notWellFormed, c.Name); i.Parsed == broken {
			t.Errorf("%s: well formed is %v: %s", c.Name, i.Parsed, i.Reason)
		}
		checkText(t, rng, c.Name, c.Text)
	}
	if len(names) < 60 {
		t.Errorf("the corpus has only %d items", len(names))
	}
	if t.Failed() {
		t.Logf("seed %d", seed)
	}
}

// checkText checks what is true of any text.
func checkText(t *testing.T, rng *rand.Rand, name string, text []byte) {
	t.Helper()
	i := item.Read(text)
	if lf := bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")); item.Sum(lf) != item.Sum(text) {
		t.Errorf("%s: line ends count", name)
	}
	if named := item.WithUID(text, "other"); i.UID != "" && item.Read(named).UID != "other" {
		t.Errorf("%s: it does not take another UID", name)
	}
	if f := item.Format(text); !checkVersions(t, name, text) && f != "" && !slices.Contains(respelled, filepath.Base(name)) {
		t.Errorf("%s: in the other version of vCard and back it is another", name)
	}
	if !i.Parsed {
		return
	}
	if i.Kind != "" && bytes.HasPrefix(text, []byte("BEGIN:V")) {
		if again := itemtest.Rewrite(rng, text); item.Sum(again) != item.Sum(text) {
			t.Errorf("%s: written anew it is:\n%s", name, again)
		}
	}
	parts, err := item.Split(text)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	for _, p := range parts {
		if n := item.Read(p); n.Many || !n.Parsed {
			t.Errorf("%s: a part of it is %+v", name, n)
		}
	}
}

// TestSharedCorpus reads what other projects' tests read, where it lies beside
// the checkout.
func TestSharedCorpus(t *testing.T) {
	const dir = "../../../shared/corpus"
	if _, err := os.Stat(dir); err != nil {
		t.Log("there is no corpus beside the checkout")
		return
	}
	const seed = 15
	rng := rand.New(rand.NewPCG(seed, 0))
	agreed, refused, files := 0, 0, 0
	for line := range strings.Lines(string(readAll(t, filepath.Join(dir, "PARSE.tsv")))) {
		fields := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(fields) < 8 || fields[0] == "path" {
			continue
		}
		text := readAll(t, filepath.Join(dir, fields[0]))
		files++
		// What both of two independent parsers take, we must take.
		if fields[6] == "ok" && fields[7] == "ok" {
			agreed++
			if i := item.Read(text); !i.Parsed {
				refused++
				t.Logf("%s: %s", fields[0], i.Reason)
			}
		}
		checkText(t, rng, fields[0], text)
	}
	t.Logf("%d files, of which two parsers take %d; we refuse %d of those", files, agreed, refused)
	if files < 300 || refused > 0 {
		t.Errorf("seed %d: %d files, %d refused", seed, files, refused)
	}
}

// sharedFiles are the paths of the files of that corpus.
func sharedFiles(t *testing.T, dir string) (paths []string) {
	t.Helper()
	for line := range strings.Lines(string(readAll(t, filepath.Join(dir, "PARSE.tsv")))) {
		if path, _, _ := strings.Cut(line, "\t"); path != "path" {
			paths = append(paths, filepath.Join(dir, path))
		}
	}
	return paths
}

func readAll(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
