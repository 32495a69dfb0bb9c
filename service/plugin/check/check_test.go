package check

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/vdir"
	"davbus.org/davbus/service/plugin"
)

// TestMain lets this program be the plugin, well behaved or not.
func TestMain(m *testing.M) {
	how := os.Getenv("CHECK_TEST")
	switch how {
	case "":
		goleak.VerifyTestMain(m)
	case "garbage":
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			fmt.Println("What do you mean?")
		}
	case "count":
		miscount()
	case "deaf":
		io.Copy(io.Discard, os.Stdin)
	default:
		plugin.Main("test", func(p engine.Params) (engine.Source, error) {
			source, err := openFolder(p["path"].(string))
			return bad{source, how}, err
		})
	}
}

// miscount says that it sent an item, and sends none.
func miscount() {
	for in := json.NewDecoder(os.Stdin); ; {
		var request struct {
			ID     *int
			Method string
		}
		if in.Decode(&request) != nil {
			return
		}
		if request.ID == nil {
			continue
		}
		answer, ok := map[string]string{
			"initialize":  `{"protocol":1,"name":"x"}`,
			"discover":    `{"collections":[{"id":"a","kind":"calendar"}]}`,
			"connect":     `{}`,
			"get_changes": `{"full":true,"count":1}`,
		}[request.Method]
		if !ok {
			fmt.Printf(`{"jsonrpc":"2.0","id":%d,"error":{"code":-32601,"message":"no such method"}}`+"\n", *request.ID)
			continue
		}
		fmt.Printf(`{"jsonrpc":"2.0","id":%d,"result":%s}`+"\n", *request.ID, answer)
	}
}

// bad is a source whose storages do one thing wrong.
type bad struct {
	engine.Source
	how string
}

func (b bad) Open(c engine.Collection) (engine.Storage, error) {
	s, err := b.Source.Open(c)
	return badStorage{s, b.how}, err
}

type badStorage struct {
	engine.Storage
	how string
}

func (b badStorage) List(ctx context.Context) iter.Seq2[engine.Head, error] {
	return func(yield func(engine.Head, error) bool) {
		for h, err := range b.Storage.List(ctx) {
			if b.how == "churn" {
				h.Etag += engine.Etag(time.Now().Format(time.RFC3339Nano))
			}
			if !yield(h, err) {
				return
			}
		}
	}
}

func (b badStorage) Fetch(ctx context.Context, refs []engine.Ref) iter.Seq2[engine.Item, error] {
	return func(yield func(engine.Item, error) bool) {
		for it, err := range b.Storage.Fetch(ctx, refs) {
			if b.how == "forgets" {
				continue
			}
			if !yield(it, err) {
				return
			}
		}
	}
}

func (b badStorage) Apply(ctx context.Context, writes []engine.Write) iter.Seq2[int, engine.Outcome] {
	if b.how == "careless" { // writes whatever is there now
		for i, w := range writes {
			for h, err := range b.Storage.List(ctx) {
				if err == nil && h.Ref == w.Old.Ref {
					writes[i].Old = h
				}
			}
		}
	}
	return b.Storage.Apply(ctx, writes)
}

func openFolder(path string) (engine.Source, error) {
	return vdir.New(vdir.Options{Path: path}), nil
}

// try checks this program as a plugin.
func try(t *testing.T, how string) (broken int, said string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/cal", 0o700); err != nil {
		t.Fatal(err)
	}
	item := strings.ReplaceAll(string(text(engine.Collection{Kind: engine.Calendar}, "one", "One")), "VTODO", "VEVENT")
	if err := os.WriteFile(dir+"/cal/one.ics", []byte(item), 0o600); err != nil {
		t.Fatal(err)
	}
	settled(t, dir)
	var out strings.Builder
	broken = Run(t.Context(), Options{Argv: []string{self}, Env: []string{"CHECK_TEST=" + how, "GORACE=atexit_sleep_ms=0"}, Params: engine.Params{"path": dir}, Timeout: 20 * time.Second}, &out)
	left, err := os.ReadDir(dir + "/cal")
	if err != nil || len(left) != 1 && how != "churn" { // whose etags nobody can name
		t.Errorf("%s: %v lies in the folder afterwards, %v", how, left, err)
	}
	return broken, out.String()
}

// settled waits until the clock has moved on from when the file was written: before
// that, a folder gives no etag twice.
func settled(t *testing.T, dir string) {
	t.Helper()
	source := vdir.New(vdir.Options{Path: dir})
	defer source.Close()
	found, err := source.Look(t.Context(), true)
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	s, err := source.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		for h, err := range s.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(h.Etag), "~") { // see vdir's stamp
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the file is still new after half a minute")
		}
	}
}

func TestAGoodPluginKeepsEveryRule(t *testing.T) {
	broken, said := try(t, "good")
	if broken != 0 || !strings.Contains(said, "cal: an item that was changed meanwhile is not deleted") {
		t.Errorf("%d broken:\n%s", broken, said)
	}
}

func TestABadPluginIsToldWhatItDoesWrong(t *testing.T) {
	for how, rule := range map[string]string{
		"careless": "an item that was changed meanwhile is not replaced",
		"churn":    "refs and etags stay the same while nothing changes",
		"forgets":  "every item that is listed can be read",
		"count":    "it tells everything that is there, and counts right",
		"garbage":  "it starts, speaks protocol 1 and tells its collections",
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			broken, said := try(t, how)
			if how == "garbage" && !strings.Contains(said, "to standard error") {
				t.Errorf("it is not told what to do:\n%s", said)
			}
			found := false
			for line := range strings.Lines(said) {
				found = found || strings.HasPrefix(line, "BROKEN") && strings.Contains(line, rule)
			}
			if broken == 0 || !found {
				t.Errorf("%d broken:\n%s", broken, said)
			}
		})
	}
}

func TestAPluginThatHangsIsGivenUp(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if broken := Run(t.Context(), Options{Argv: []string{self}, Env: []string{"CHECK_TEST=deaf", "GORACE=atexit_sleep_ms=0"}, Timeout: 200 * time.Millisecond}, &out); broken == 0 || !strings.Contains(out.String(), "did not answer") || !strings.Contains(out.String(), "flush standard output") {
		t.Errorf("%d broken:\n%s", broken, out.String())
	}
}

func TestAProgramThatIsNotThereIsSaidToBeMissing(t *testing.T) {
	var out strings.Builder
	if broken := Run(t.Context(), Options{Argv: []string{"/no/such/program"}}, &out); broken != 1 || !strings.Contains(out.String(), "/no/such/program") {
		t.Errorf("%d broken:\n%s", broken, out.String())
	}
}
