//go:build real && further

package blackbox_test

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/service/lab"
)

// A program is killed at the 25th upload of 40.
func killed(w *world) string {
	proxy := lab.CountingProxy(w, w.radicale.URL)
	w.onRadicale()
	w.url = proxy.URL
	for n := range 40 {
		w.save(fmt.Sprintf("u%02d", n), props{n + 1, 1}.text(fmt.Sprintf("u%02d", n)))
	}
	var mu sync.Mutex
	uploads, far, dead := 0, make(chan struct{}), make(chan struct{})
	proxy.Before(func(_ int, r *http.Request) {
		mu.Lock()
		if r.Method == "PUT" {
			uploads++
		}
		n := uploads
		mu.Unlock()
		if r.Method == "PUT" && n >= 25 {
			if n == 25 {
				close(far)
			}
			<-dead
			panic(http.ErrAbortHandler)
		}
	})
	w.begin()
	w.program.killed(far)
	close(dead)
	proxy.Before(nil)
	deleted := w.served()
	if len(deleted) < 15 || len(deleted) > 24 {
		w.Fatalf("killed at the 25th upload, and %d are on the server", len(deleted))
	}
	deleted = deleted[:5]
	for _, uid := range deleted {
		w.remove(uid)
	}
	w.syncs(2)
	back := 0
	for _, uid := range deleted {
		if w.here(uid) != "" || w.there(uid) != "" {
			back++
		}
	}
	if here, there := w.files(), w.served(); len(here) != 35+back || !slices.Equal(here, there) {
		return fmt.Sprintf("of 40 less 5 the folder has %d, the server %d", len(here), len(there))
	}
	if back > 0 {
		return fmt.Sprintf("%d of 5 deleted items come back", back)
	}
	return ""
}

func nearlyAllGone(w *world) string {
	srv := w.onOurs()
	calendar := srv.Source.Storage(w.calendar)
	for n := range 300 {
		uid := fmt.Sprintf("u%03d", n)
		calendar.Put(engine.Ref(uid+".ics"), []byte(props{n + 1, 1}.text(uid)))
	}
	w.settle("u000", "u299")
	for n := range 298 {
		calendar.Remove(engine.Ref(fmt.Sprintf("u%03d.ics", n)))
	}
	w.sync()
	if n := len(w.files()); n != 300 {
		return fmt.Sprintf("%d of 300 are deleted in the folder, without a question", 300-n)
	}
	return ""
}

func emptied(w *world) string {
	w.onRadicale()
	uids := w.many(8)
	w.settle(uids...)
	for _, uid := range uids {
		w.remove(uid)
	}
	w.sync()
	if n := len(w.served()); n != len(uids) {
		return fmt.Sprintf("%d of %d are deleted on the server", len(uids)-n, len(uids))
	}
	return ""
}

func noList(w *world) string {
	srv := w.onOurs()
	uids := w.many(3) // so few that davbus holds no deletion of them: the list itself has to prove it
	reads := func(r davtest.Request) bool { return r.Method == "PROPFIND" || r.Method == "REPORT" }
	w.settle(uids...)
	srv.When(-1, reads, davtest.HTML200())
	w.sync()
	srv.Heal()
	w.post("new", props{5, 6}.text("new")) // so that it is worth asking
	srv.When(-1, func(r davtest.Request) bool { return reads(r) && strings.Contains(r.Path, w.calendar) }, davtest.Empty207())
	w.sync()
	gone := 0
	for _, uid := range uids {
		if w.here(uid) == "" {
			gone++
		}
	}
	if gone > 0 {
		return fmt.Sprintf("%d of %d are deleted in the folder", gone, len(uids))
	}
	return ""
}

func (w *world) many(n int) (uids []string) {
	for i := range n {
		uid := fmt.Sprintf("u%d", i)
		w.save(uid, props{i + 1, 1}.text(uid))
		uids = append(uids, uid)
	}
	return uids
}

func twins(w *world) string {
	w.onRadicale()
	w.save("one", props{1, 2}.text("one"))
	w.settle("one")
	w.save("copy", props{3, 4}.text("one"))
	w.save("other", props{5, 6}.text("other"))
	w.syncs(2)
	switch {
	case read(w.here("one")) != (props{1, 2}) || read(w.here("copy")) != (props{3, 4}):
		return "one of the two is changed"
	case read(w.there("other")) != (props{5, 6}):
		return "no other item is synced any more"
	}
	return ""
}

var response = regexp.MustCompile(`(?s)<d:response>.*?</d:response>`)

// The server lists what it says is not there when it is asked for it.
func unreadable(w *world) string {
	srv := w.onOurs()
	w.save("one", props{1, 2}.text("one"))
	w.settle("one")
	data := regexp.MustCompile(`(?s)<\w+:calendar-data>.*?</\w+:calendar-data>`)
	srv.Always("REPORT", davtest.Edit(func(body []byte) []byte {
		changes := bytes.Contains(body, []byte("sync-token>"))
		return response.ReplaceAllFunc(body, func(r []byte) []byte {
			switch {
			case !bytes.Contains(r, []byte("ghost.ics")):
				return r
			case changes:
				return data.ReplaceAll(r, nil)
			}
			return []byte("<d:response><d:href>" + w.at("ghost") + "</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response>")
		})
	}))
	srv.When(-1, func(r davtest.Request) bool { return r.Method == "GET" && strings.Contains(r.Path, "ghost") }, davtest.Status(http.StatusNotFound))
	w.post("ghost", props{3, 4}.text("ghost"))
	w.post("other", props{5, 6}.text("other"))
	w.save("one", props{1, 7}.text("one"))
	w.syncs(2)
	if read(w.here("other")) != (props{5, 6}) || read(w.there("one")) != (props{1, 7}) {
		return "no other item is synced any more"
	}
	srv.Heal()
	w.syncs(2)
	if read(w.here("ghost")) != (props{3, 4}) {
		return "it does not come when it can be fetched"
	}
	return ""
}

func refused(w *world) string {
	srv := w.onOurs()
	w.save("one", props{1, 2}.text("one"))
	w.settle("one")
	srv.When(-1, func(r davtest.Request) bool { return r.Method == "PUT" && strings.Contains(r.Path, "big") }, davtest.Status(http.StatusForbidden))
	w.save("big", props{3, 4}.text("big"))
	w.save("other", props{5, 6}.text("other"))
	w.post("third", props{7, 8}.text("third"))
	w.syncs(2)
	switch {
	case read(w.here("big")) != (props{3, 4}):
		return "it is gone from the folder"
	case read(w.there("other")) != (props{5, 6}) || read(w.here("third")) != (props{7, 8}):
		return "no other item is synced any more"
	}
	return ""
}
