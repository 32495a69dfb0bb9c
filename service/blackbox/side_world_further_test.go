//go:build real && further

package blackbox_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/service/lab"
)

// A world is a folder and a calendar on a server, which a program keeps in step.
// What happens in it and what is found are looked up here, past the program.
type world struct {
	*house
	*site
	calendar string // its name
	radicale *lab.Server
	with     func(w *world) program
	program  program
}

func newWorld(t *testing.T, name string, radicale *lab.Server, with func(*world) program) *world {
	h := &house{T: t, HomeDir: lab.Home(t), name: name}
	return &world{house: h, calendar: name, radicale: radicale, with: with}
}

// onRadicale has the calendar on a real server.
func (w *world) onRadicale() { w.on(realSite(w.radicale)) }

// onOurs has it on the embedded server, which can be made to fail.
func (w *world) onOurs() *davtest.Server {
	srv := davtest.New(w.T, davtest.Options{User: lab.Alice, Password: lab.AlicePassword})
	w.on(siteOf(w.T, srv))
	return srv
}

func (w *world) on(s *site) {
	w.Helper()
	w.site = s
	w.must(s.make(w.Context(), w.calendar))
	w.file(filepath.Join("pim", w.calendar, ".keep"), "")
}

// begin sets the program up.
func (w *world) begin() {
	w.Helper()
	w.program = w.with(w)
}

// settle has the program bring what it was given to both sides. A program that
// does not even do that is set up wrongly, and nothing is proved.
func (w *world) settle(uids ...string) {
	w.Helper()
	w.begin()
	w.sync()
	w.agreed(uids...)
}

// agreed demands that items have arrived on both sides.
func (w *world) agreed(uids ...string) {
	w.Helper()
	for _, uid := range uids {
		if here, there := w.here(uid), w.there(uid); here == "" || there == "" || read(here) != read(there) {
			w.Fatalf("%s is %q in the folder, %q on the server", uid, here, there)
		}
	}
}

func (w *world) sync() {
	w.Helper()
	w.program.sync()
}

func (w *world) syncs(times int) {
	w.Helper()
	for range times {
		w.sync()
	}
}

func (w *world) folder() string { return filepath.Join(w.Dir, "pim", w.calendar) }

func (w *world) save(uid, text string) {
	w.file(filepath.Join("pim", w.calendar, uid+".ics"), text)
}

func (w *world) remove(uid string) { w.must(os.Remove(filepath.Join(w.folder(), uid+".ics"))) }

// here is an item as it is in the folder; "" if it is not there.
func (w *world) here(uid string) string {
	text, err := os.ReadFile(filepath.Join(w.folder(), uid+".ics"))
	if !os.IsNotExist(err) {
		w.must(err)
	}
	return string(text)
}

func (w *world) files() []string {
	names, err := filepath.Glob(filepath.Join(w.folder(), "*.ics"))
	w.must(err)
	for i, name := range names {
		names[i] = strings.TrimSuffix(filepath.Base(name), ".ics")
	}
	slices.Sort(names)
	return names
}

func (w *world) at(uid string) string { return w.home + w.calendar + "/" + uid + ".ics" }

// post edits an item on the server.
func (w *world) post(uid, text string) {
	w.Helper()
	if status, _, said, err := w.ask(w.Context(), "PUT", w.at(uid), text, "Content-Type", "text/calendar; charset=utf-8"); err != nil || status/100 != 2 {
		w.Fatalf("PUT %s: %d %s %v", uid, status, said, err)
	}
}

// there is an item as the server has it; "" if it has not.
func (w *world) there(uid string) string {
	w.Helper()
	status, _, text, err := w.ask(w.Context(), "GET", w.at(uid), "")
	if err != nil || status != http.StatusOK && status != http.StatusNotFound {
		w.Fatalf("GET %s: %d %v", uid, status, err)
	}
	if status == http.StatusNotFound {
		return ""
	}
	return text
}

// served are the UIDs of what the server lists.
func (w *world) served() []string {
	w.Helper()
	status, _, list, err := w.ask(w.Context(), "PROPFIND", w.home+w.calendar+"/", `<propfind xmlns="DAV:"><prop><getetag/></prop></propfind>`, "Depth", "1", "Content-Type", "application/xml")
	if err != nil || status != http.StatusMultiStatus {
		w.Fatalf("PROPFIND: %d %v", status, err)
	}
	var uids []string
	for _, m := range href.FindAllStringSubmatch(list, -1) {
		uids = append(uids, strings.TrimSuffix(m[1][strings.LastIndex(m[1], "/")+1:], ".ics"))
	}
	slices.Sort(uids)
	return uids
}

// comes waits for what must happen.
func (w *world) comes(when <-chan struct{}) {
	w.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-when:
	case <-timer.C:
		w.Fatal("it does not come so far")
	}
}
