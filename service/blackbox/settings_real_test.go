//go:build real

package blackbox_test

import (
	"os"
	"path/filepath"
	"testing"

	"davbus.org/davbus/engine/davserver/davtest"
)

// Everything that can be set up, looked at and changed, as a person types it.
// testdata/settings.txt holds every word, like troubles.txt.
func TestEverySettingIsWorkedFromATerminal(t *testing.T) {
	srv := davtest.New(t, davtest.Options{})
	h := newHouse(t, "home")
	w := &troubles{house: h, server: srv, work: srv.Calendar("cal")}
	w.put("lunch", entry("lunch", "Lunch"))
	h.file("third/.keep", "")
	h.start()
	w.types("account add work dav url="+srv.URL+"/ --no-password", "account add local vdir path=~/pim", "account add third vdir path=~/third",
		"pause", "group add home work local --create-missing local --interval 0", "sync home", "resume")
	// The group syncs by itself when it hears of an edit; here it must not.
	w.types("pause 8h", "status", "account show work", "collection list", "collection list third", "group show home")
	// Changes, and what they leave in the files.
	w.types("account set work display-name=Office enabled=false", "account show work", "account set work display-name= enabled=",
		"account set work user-agent=x", "group set home conflict-policy=newest hold-items=5 create-missing=local",
		"group set home create-missing=third", "group add-member home third", "group set home create-missing=local create-missing=third", "sync home", "collection set work/cal color=#112233 order=3", "collection list",
		"collection add local/tasks calendar --component VTODO --name Tasks", "account discover local", "group reset home", "sync home", "collection list",
		"group remove-member home third", "group show home")
	for _, file := range []string{"accounts/work.yaml", "groups/home.yaml"} {
		text, err := os.ReadFile(filepath.Join(h.Dir, ".config/davbus", file))
		h.must(err)
		w.told.WriteString("# " + file + "\n" + string(text) + "\n")
	}
	w.types("account add off vdir path=~/off display-name=Off enabled=false", "account show off")
	// Mistakes.
	w.types("account set work nonsense=1", "account set work read-only=perhaps", "account set work word", "account add more vdir path=",
		"account show nobody", "group show nobody", "group set home interval-sec=-1", "group set home interval=5", "group remove-member home local",
		"collection list nobody", "collection add work calendar", "collection set work/nothing color=red", "collection set work color=red",
		"versions home", "pause 1ms", "account set work password-command='x", "help pause", "nonsense")
	h.compare("testdata/settings.txt", w.told.String())
}
