//go:build real && further

package blackbox_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"davbus.org/davbus/service/lab"
)

// A life is what befalls a calendar that is kept in step with a server, and what a
// person finds in the folder and on the server afterwards.
type life struct {
	name    string // of the sub-test; docs/trust.md has a row for it
	promise string
	live    func(w *world) (wrong string) // "" if the promise was kept
}

var lives = []life{
	{"EditedBack", "an edit that is taken back on the other side arrives there too", editedBack},
	{"MovedInside", "what moves inside of an item arrives: summaries, alarms, zone offsets", movedInside},
	{"SpelledAnew", "another spelling is neither an edit nor in the way of one", spelledAnew},
	{"Killed", "killed in a first sync, what a person deletes then stays deleted", killed},
	{"NearlyAllGone", "a server that lost 298 of 300 empties no folder", nearlyAllGone},
	{"Emptied", "an emptied folder empties no server", emptied},
	{"NoList", "a web page or an empty answer instead of a list deletes nothing", noList},
	{"Twins", "two items of one UID hold up no other item", twins},
	{"Unreadable", "an item that is listed and cannot be fetched holds up no other, and comes once it can", unreadable},
	{"Rewritten", "what a server spells anew is not written back into the folder", rewritten},
	{"Merged", "edits of different properties on both sides are both kept, on both sides", merged},
	{"Clashed", "of two edits of one property none is lost", clashed},
	{"DeletedAndEdited", "an edit beats a deletion", deletedAndEdited},
	{"OldTime", "an edit that leaves a file its size and its time arrives", oldTime},
	{"Refused", "what the server refuses stays where it is and holds up no other item", refused},
	{"SavedMeanwhile", "what is saved in the middle of a sync is not overwritten", savedMeanwhile},
}

// The same happens to a folder and a server under davbus, which must keep every
// promise, and under vdirsyncer, of which is told what it did. The judge looks at
// the files and asks the server; it is the same one for both.
func TestFurtherSideBySideWithVdirsyncer(t *testing.T) {
	version := vdirsyncerVersion(t)
	radicale := lab.Radicale(t)
	found := make([][2]string, len(lives))
	t.Cleanup(func() {
		var table strings.Builder
		for i, l := range lives {
			if found[i] == [2]string{} {
				continue // it was not asked for
			}
			fmt.Fprintf(&table, "\n%s: %s\n\tdavbus      %s\n\t%-11s %s", l.name, l.promise, found[i][0], "vdirsyncer", found[i][1])
		}
		t.Logf("davbus and vdirsyncer %s over the same:%s", version, table.String())
	})
	told := toldOfVdirsyncer(t, version)
	for i, l := range lives {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			t.Run("davbus", func(t *testing.T) {
				wrong := l.live(newWorld(t, l.name+"-davbus", radicale, withDavbus))
				if found[i][0] = verdict(wrong); wrong != "" {
					t.Errorf("%s: %s", l.promise, wrong)
				}
			})
			t.Run("vdirsyncer", func(t *testing.T) {
				found[i][1] = verdict(l.live(newWorld(t, l.name+"-vdirsyncer", radicale, withVdirsyncer)))
				if want, there := told[l.name]; there && !strings.HasPrefix(found[i][1], want) {
					t.Errorf("docs/trust.md tells %q of it, found was %s", want, found[i][1])
				}
			})
		})
	}
}

func verdict(wrong string) string {
	if wrong == "" {
		return "yes"
	}
	return "no: " + wrong
}

// toldOfVdirsyncer is what docs/trust.md tells of vdirsyncer, by life, if it tells
// of this version; each life must stand there.
func toldOfVdirsyncer(t *testing.T, version string) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/trust.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| [^|]+ \| (yes|no)\b[^|]*\|.*SideBySideWithVdirsyncer/(\w+)`).FindAllStringSubmatch(string(text), -1) {
		told[m[2]] = m[1]
	}
	for _, l := range lives {
		if told[l.name] == "" {
			t.Errorf("docs/trust.md has no row for %s", l.name)
		}
	}
	if !strings.Contains(string(text), "vdirsyncer "+version) {
		t.Logf("docs/trust.md tells of another version than %s", version)
		return nil
	}
	return told
}
