//go:build real && further

package item_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/service/lab"
)

// TestFurtherSharedCorpusThroughRealServers counts what becomes of other projects' test
// data, where it lies beside the checkout, and explains what comes back saying
// something else.
func TestFurtherSharedCorpusThroughRealServers(t *testing.T) {
	const dir = "../../../shared/corpus"
	if _, err := os.Stat(dir); err != nil {
		t.Log("there is no corpus beside the checkout")
		return
	}
	for _, start := range []func(lab.T) *lab.Server{lab.Radicale, lab.Xandikos} {
		server := start(t)
		to := map[string]*dav{".ics": newDav(t, server, engine.Calendar), ".vcf": newDav(t, server, engine.AddressBook)}
		fate := map[string][]string{}
		for n, path := range sharedFiles(t, dir) {
			text := item.CRLF(readAll(t, path))
			i := item.Read(text)
			ending := filepath.Ext(path)
			if to[ending] == nil || !i.Parsed || i.Many || len(text) > 1<<18 {
				continue
			}
			back := to[ending].through(fmt.Sprintf("shared%d%s", n, ending), text)
			why := explain(text, back)
			fate[why] = append(fate[why], filepath.Base(path))
		}
		stored := 0
		for why, files := range fate {
			t.Logf("%s: %d %s", server.Name, len(files), why)
			if why != refused {
				stored += len(files)
			}
			if why == unexplained {
				t.Logf("%s: %s: %s", server.Name, why, strings.Join(files, " "))
			}
		}
		if same := len(fate[kept]); stored < 50 || same < stored*6/10 {
			t.Errorf("%s: of %d stored only %d kept their sums", server.Name, stored, same)
		}
	}
}

// What becomes of a text at a server.
const (
	refused     = "were refused"
	kept        = "kept their sums"
	notUTF8     = "were not UTF-8 and are decoded"
	escapes     = "have other escapes"
	commas      = "have text that is cut at a comma, or escaped and cut"
	dropped     = "are wrapped anew with a VERSION, or lose lines"
	unexplained = "are changed in another way"
)

func explain(text, back []byte) string {
	plain := func(s []byte) []byte {
		s = bytes.ReplaceAll(bytes.ReplaceAll(s, []byte("\r\n "), nil), []byte("\r\n\t"), nil)
		return bytes.ReplaceAll(bytes.ReplaceAll(s, []byte(`\N`), []byte(`\n`)), []byte(`\`), nil)
	}
	switch {
	case back == nil:
		return refused
	case item.Same(text, back):
		return kept
	case !utf8.Valid(text):
		return notUTF8
	case item.Same(plain(text), plain(back)):
		return escapes
	}
	was, is := lineSet(plain(text)), lineSet(plain(back))
	if subset(is, was) {
		return dropped
	}
	cut := map[string]bool{}
	for l := range was {
		for n, c := range l {
			if c == ',' {
				cut[l[:n]] = true
			}
		}
		cut[l] = true
	}
	if subset(is, cut) {
		return commas
	}
	return unexplained
}

func lineSet(text []byte) map[string]bool {
	set := map[string]bool{}
	for l := range strings.Lines(string(text)) {
		set[strings.ToUpper(strings.TrimSpace(l))] = true
	}
	return set
}

func subset(a, b map[string]bool) bool {
	for l := range a {
		if !b[l] && !strings.HasPrefix(l, "PRODID") && !strings.HasPrefix(l, "VERSION") {
			return false
		}
	}
	return true
}
