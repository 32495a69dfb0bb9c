//go:build real && further

package plugin_test

import "testing"

func TestFurtherTheExampleInShellIsAGoodPlugin(t *testing.T) {
	isGood(t, "folder.sh", ".", "plugin-calendar.jsonl")
}
