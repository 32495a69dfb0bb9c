package merge

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/item/itemtest"
)

// checkHard checks the laws on one hard text and random edits of it.
func checkHard(t *testing.T, rng *rand.Rand, name string, text []byte) {
	t.Helper()
	if !item.Read(text).Parsed {
		return
	}
	x, y := itemtest.Edit(rng, text), itemtest.Edit(rng, text)
	for _, e := range []Edit{{Mark: text}, {Mark: itemtest.Rewrite(rng, text)}, {Mark: text, Behind: true}} {
		a, b := e, e
		a.Text, b.Text = x, y
		checkMerge(t, text, a, b)
	}
	if root, err := item.Parse(text); err != nil || !orderly(root) {
		return
	}
	got := Merge(text, []Edit{{Mark: itemtest.Rewrite(rng, text), Text: itemtest.Rewrite(rng, x)}})
	if !item.Same(got.Text, x) {
		t.Errorf("%s: one edit of an item written anew gives clashes %q and\n%s\nnot\n%s", name, got.Clashes, got.Proposal, x)
	}
}

func TestLawsHoldOnHardItems(t *testing.T) {
	const seed = 17
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, c := range itemtest.Corpus() {
		if len(c.Text) < 1<<18 {
			checkHard(t, rng, c.Name, c.Text)
		}
		if t.Failed() {
			t.Fatalf("seed %d: %s", seed, c.Name)
		}
	}
}

// TestLawsHoldOnTheSharedCorpus reads what other projects' tests read, where it
// lies beside the checkout.
func TestLawsHoldOnTheSharedCorpus(t *testing.T) {
	const dir = "../../../shared/corpus"
	if _, err := os.Stat(dir); err != nil {
		t.Log("there is no corpus beside the checkout")
		return
	}
	const seed = 18
	rng := rand.New(rand.NewPCG(seed, 0))
	list, err := os.ReadFile(filepath.Join(dir, "PARSE.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(list)) {
		path, _, _ := strings.Cut(line, "\t")
		if n++; path == "path" || n%sharedEvery != 0 {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if text = item.CRLF(text); len(text) < 1<<16 && bytes.HasPrefix(text, []byte("BEGIN:V")) {
			checkHard(t, rng, path, text)
		}
		if t.Failed() {
			t.Fatalf("seed %d: %s", seed, path)
		}
	}
}

func TestCostGrowsWithTheTexts(t *testing.T) {
	// Each makes the agreed text and two edits, of about n lines.
	tests := map[string]func(n int) [3]string{
		"all changed": func(n int) [3]string {
			return [3]string{many(n, "COMMENT:%d a"), many(n, "COMMENT:%d b"), many(n, "COMMENT:%d c")}
		},
		"all new": func(n int) [3]string { return [3]string{"", many(n, "COMMENT:%d b"), many(n, "COMMENT:%d c")} },
		"attendees": func(n int) [3]string {
			return [3]string{many(n, "ATTENDEE:mailto:%d"), many(n, "ATTENDEE;A=1:mailto:%d"), many(n, "ATTENDEE:mailto:x%d")}
		},
		"one list": func(n int) [3]string {
			return [3]string{"EXDATE:1" + many(n, ",%d"), "EXDATE:2" + many(n, ",1%d"), "EXDATE:3" + many(n, ",2%d")}
		},
		"categories": func(n int) [3]string {
			return [3]string{"CATEGORIES:1" + many(n, ",%d"), "CATEGORIES:2" + many(n, ",1%d"), "CATEGORIES:3" + many(n, ",2%d")}
		},
		"alarms": func(n int) [3]string {
			return [3]string{many(n/3, "BEGIN:VALARM\r\nTRIGGER:%d\r\nEND:VALARM"), many(n/3, "BEGIN:VALARM\r\nTRIGGER:1%d\r\nEND:VALARM"), many(n/3, "BEGIN:VALARM\r\nTRIGGER:2%d\r\nEND:VALARM")}
		},
		"all alike": func(n int) [3]string { return [3]string{many(n, "A:1"), many(n, "A:2"), many(n, "A:3")} },
		"nonsense":  func(n int) [3]string { return [3]string{many(n, "a%d"), many(n, "b%d"), many(n, "c%d")} },
	}
	const small, times = 200, 32
	for name, make := range tests {
		cost := func(n int) time.Duration {
			var texts [3][]byte
			for i, body := range make(n) {
				texts[i] = event(strings.ReplaceAll(body, "\r\n", "\n"))
			}
			begun := time.Now()
			Merge(texts[0], []Edit{{Mark: texts[0], Text: texts[1]}, {Mark: texts[0], Text: texts[2]}})
			return time.Since(begun)
		}
		a, b := time.Hour, time.Hour
		for range 20 {
			a, b = min(a, cost(small)), min(b, cost(times*small))
			if b < 8*times*a {
				break
			}
		}
		if b >= 8*times*a {
			t.Errorf("%s: %d times the text takes %v after %v", name, times, b, a)
		}
	}
}

// many writes a format for each number, one to a line unless it is of a list.
func many(n int, format string) string {
	var out strings.Builder
	for i := range n {
		if i > 0 && format[0] != ',' {
			out.WriteString("\n")
		}
		if strings.Contains(format, "%") {
			fmt.Fprintf(&out, format, i)
		} else {
			out.WriteString(format)
		}
	}
	return out.String()
}
