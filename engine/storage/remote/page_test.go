package remote

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestThePageShowsLinesThatAreSpoken: every example in davbus-plugin(7) is a line
// of JSON-RPC, and every method of ours is shown by one.
func TestThePageShowsLinesThatAreSpoken(t *testing.T) {
	page, err := os.ReadFile("../../../data/man/davbus-plugin.7.scd")
	if err != nil {
		t.Fatal(err)
	}
	theirs := []string{methodChange, methodLog, methodGetState, methodSetState, methodGetGroup, methodGetMember, methodSetSlowSync, methodGetSecret, methodRequestSync}
	ours := []string{methodInitialize, methodDiscover, methodMake, methodConnect, methodChanges, methodRead, methodCommit, methodCommittedAll, methodSyncDone, methodDisconnect, methodFinalize, methodCredit}
	known := map[string]string{"$/cancel": ">", "$/progress": "<"}
	for _, m := range theirs {
		known[m] = "<"
	}
	for _, m := range ours {
		known[m] = ">"
	}
	shown := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		way, text, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || way != ">" && way != "<" {
			continue
		}
		var m struct {
			Version string `json:"jsonrpc"`
			Method  string
			Params  json.RawMessage
		}
		// The page writes \ as \\, since its own language takes one away.
		if err := json.Unmarshal([]byte(strings.ReplaceAll(text, `\\`, `\`)), &m); err != nil || m.Version != "2.0" {
			t.Errorf("%s: no line of JSON-RPC: %v", text, err)
		}
		if m.Method != "" && known[m.Method] != way {
			t.Errorf("%s: a method that is not called this way", text)
		}
		shown[m.Method] = true
	}
	for m := range known {
		if !shown[m] && !strings.Contains(string(page), "*"+m+"*") {
			t.Errorf("the page does not speak of %s", m)
		}
	}
	for name := range kinds {
		if _, errors, _ := strings.Cut(string(page), "# ERRORS"); !strings.Contains(errors, name) {
			t.Errorf("the page does not speak of the error %s", name)
		}
	}
}
