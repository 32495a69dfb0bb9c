//go:build real && further

package service

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/item/itemtest"
	"davbus.org/davbus/service/lab"
)

// What other projects test with goes the same way as our own hard items. The
// corpus lies beside the project where it exists; it is no part of it.
func TestFurtherOtherProjectsItemsArriveAsTheServerServesThem(t *testing.T) {
	var items []itemtest.NamedText
	err := filepath.WalkDir("../../shared/corpus", func(path string, d fs.DirEntry, err error) error {
		// A calendar inside a calendar is a problem and goes nowhere: it is no item.
		if strings.Contains(path, "smallcluster") {
			return err
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".ics") && !strings.HasSuffix(path, ".vcf") {
			return err
		}
		text, err := os.ReadFile(path)
		pieces, bad := item.Split(text)
		if bad != nil {
			pieces = [][]byte{text}
		}
		name := strings.ReplaceAll(strings.TrimPrefix(path, "../../shared/corpus/"), "/", "-")
		for i, piece := range pieces {
			// Many of the files share one UID, and a collection may hold it once.
			own := item.WithUID(piece, engine.UID(fmt.Sprintf("corpus-%d-%d", len(items), i)))
			items = append(items, itemtest.NamedText{Name: fmt.Sprintf("%d-%s", len(items), name), Text: own})
		}
		return err
	})
	if os.IsNotExist(err) {
		t.Log("there is no corpus beside the project; its own hard items have been tried")
		return
	}
	if err != nil || len(items) == 0 {
		t.Fatal(len(items), err)
	}
	for _, start := range []func(lab.T) *lab.Server{lab.Radicale, lab.XandikosOnSocket} {
		server := start(t)
		t.Run(server.Name, func(t *testing.T) { hardItems(t, server, items) })
	}
}
