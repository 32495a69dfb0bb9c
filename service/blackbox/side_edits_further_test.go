//go:build real && further

package blackbox_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"davbus.org/davbus/engine/davserver/davtest"
)

func editedBack(w *world) string {
	w.onRadicale()
	w.save("lunch", props{1, 2}.text("lunch"))
	w.settle("lunch")
	first := w.there("lunch")
	w.save("lunch", props{3, 2}.text("lunch"))
	w.sync()
	if w.agreed("lunch"); read(w.there("lunch")) != (props{3, 2}) {
		w.Fatalf("the first edit did not arrive: %s", w.there("lunch"))
	}
	w.post("lunch", first)
	w.syncs(2)
	if here, there := read(w.here("lunch")), read(w.there("lunch")); here != (props{1, 2}) || there != here {
		return fmt.Sprintf("the folder keeps version %d, the server has version %d", here[0], there[0])
	}
	return ""
}

// An item whose parts change places, by what they hold.
func movedInside(w *world) string {
	const day = "DTSTAMP:20260101T000000Z\nDTSTART:20260102T100000Z\n"
	items := []struct{ uid, first, second, text string }{
		{"summaries", "Standup", "Review", "BEGIN:VEVENT\nUID:summaries\n" + day + "RRULE:FREQ=DAILY;COUNT=5\nSUMMARY:1\nEND:VEVENT\n" +
			"BEGIN:VEVENT\nUID:summaries\nRECURRENCE-ID:20260103T100000Z\n" + day + "SUMMARY:2\nEND:VEVENT\n"},
		{"alarms", "-PT5M", "-PT1H", "BEGIN:VEVENT\nUID:alarms\n" + day + "SUMMARY:Call\nBEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:Look\nTRIGGER:1\nEND:VALARM\n" +
			"BEGIN:VALARM\nACTION:AUDIO\nTRIGGER:2\nEND:VALARM\nEND:VEVENT\n"},
		{"zone", "+0100", "+0300", "BEGIN:VTIMEZONE\nTZID:Here\nBEGIN:STANDARD\nDTSTART:20200101T000000\nTZOFFSETFROM:1\nTZOFFSETTO:1\nEND:STANDARD\nEND:VTIMEZONE\n" +
			"BEGIN:VEVENT\nUID:zone\nDTSTAMP:20260101T000000Z\nDTSTART;TZID=Here:20260102T100000\nSUMMARY:Call\nEND:VEVENT\n"},
	}
	w.onOurs()
	text := func(i int, first, second string) string {
		r := strings.NewReplacer(":1\n", ":"+first+"\n", ":2\n", ":"+second+"\n")
		return crlf("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//test\n" + r.Replace(items[i].text) + "END:VCALENDAR\n")
	}
	for i, it := range items {
		w.save(it.uid, text(i, it.first, it.second))
	}
	w.settle("summaries", "alarms", "zone")
	for i, it := range items {
		w.save(it.uid, text(i, it.second, it.first))
	}
	w.syncs(2)
	var missed []string
	for i, it := range items {
		if want := text(i, it.second, it.first); w.there(it.uid) != want || w.here(it.uid) != want {
			missed = append(missed, it.uid)
		}
	}
	if missed != nil {
		return fmt.Sprintf("the server never gets the changed %s", strings.Join(missed, ", "))
	}
	return ""
}

func spelledAnew(w *world) string {
	w.onOurs()
	plain := func(uid, summary string) string {
		return crlf("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//test\nBEGIN:VEVENT\nUID:" + uid + "\nDTSTAMP:20260101T000000Z\nDTSTART:20260102T100000Z\n" +
			"SUMMARY:" + summary + "\nDESCRIPTION:" + strings.Repeat("long ", 20) + "\nEND:VEVENT\nEND:VCALENDAR\n")
	}
	anew := func(uid string) string {
		return strings.NewReplacer("long long", "long \r\n long", "DTSTART", "dtstart").Replace(plain(uid, "One"))
	}
	w.save("rest", plain("rest", "One"))
	w.save("met", plain("met", "One"))
	w.settle("rest", "met")
	w.save("rest", anew("rest"))
	w.save("met", anew("met"))
	w.post("met", plain("met", "Two"))
	w.syncs(2)
	var wrong []string
	if w.there("rest") != plain("rest", "One") {
		wrong = append(wrong, "a re-folded line is written to the server")
	}
	if !strings.Contains(w.here("met"), "SUMMARY:Two") {
		wrong = append(wrong, "an edit does not arrive where the item was spelled anew")
	}
	return strings.Join(wrong, "; ")
}

// The server folds lines anew and says so by telling no etag, as it should.
func rewritten(w *world) string {
	srv := w.onOurs()
	srv.Always("PUT", davtest.Etags(davtest.NoEtagOnPut))
	srv.Always("PUT", davtest.EditRequest(func(text []byte) []byte {
		return bytes.ReplaceAll(davtest.Rewritten(text), []byte("long long"), []byte("long \r\n long"))
	}))
	mine := strings.Replace(entry("one", "One"), "SUMMARY", "DESCRIPTION:"+strings.Repeat("long ", 10)+"\r\nSUMMARY", 1)
	w.save("one", mine)
	w.settle("one")
	w.syncs(2)
	if there := w.there("one"); there == mine {
		w.Fatal("the server did not rewrite it")
	}
	if w.here("one") != mine {
		return "the server's spelling replaces the person's file"
	}
	return ""
}

func merged(w *world) string {
	w.onRadicale()
	w.save("lunch", props{1, 2}.text("lunch"))
	w.settle("lunch")
	w.save("lunch", props{3, 2}.text("lunch"))
	w.post("lunch", props{1, 4}.text("lunch"))
	w.sync()
	if here, there := read(w.here("lunch")), read(w.there("lunch")); here != (props{3, 4}) || there != here {
		return "it stays in conflict: each side has its own edit only"
	}
	return ""
}

func clashed(w *world) string {
	w.onRadicale()
	w.save("lunch", props{1, 2}.text("lunch"))
	w.settle("lunch")
	w.save("lunch", props{3, 2}.text("lunch"))
	w.post("lunch", props{4, 2}.text("lunch"))
	w.save("other", props{5, 6}.text("other"))
	w.syncs(2)
	all := w.here("lunch") + w.there("lunch")
	switch {
	case !strings.Contains(all, "SUMMARY:v3\r\n") || !strings.Contains(all, "SUMMARY:v4\r\n"):
		return "one of the two edits is gone"
	case read(w.there("other")) != (props{5, 6}):
		return "no other item is synced any more"
	}
	return ""
}

func deletedAndEdited(w *world) string {
	w.onRadicale()
	w.save("lunch", props{1, 2}.text("lunch"))
	w.save("other", props{5, 6}.text("other"))
	w.settle("lunch", "other")
	w.remove("lunch")
	w.post("lunch", props{3, 2}.text("lunch"))
	w.sync()
	if here, there := read(w.here("lunch")), read(w.there("lunch")); here != (props{3, 2}) || there != here {
		return "the edit is gone"
	}
	return ""
}

// An item is edited in place by a program that puts the file's time back, as
// programs do that copy times along.
func oldTime(w *world) string {
	w.onRadicale()
	w.save("lunch", props{1, 2}.text("lunch"))
	w.settle("lunch")
	file := filepath.Join(w.folder(), "lunch.ics")
	was, err := os.Stat(file)
	w.must(err)
	w.save("lunch", props{3, 2}.text("lunch"))
	w.must(os.Chtimes(file, was.ModTime(), was.ModTime()))
	w.sync()
	if read(w.there("lunch")) != (props{3, 2}) {
		return "it never arrives"
	}
	return ""
}

// A person saves a file after the program has looked at the folder and while it
// fetches what the server has new of the same item.
func savedMeanwhile(w *world) string {
	srv := w.onOurs()
	w.save("lunch", props{1, 2}.text("lunch"))
	w.save("other", props{5, 6}.text("other"))
	w.settle("lunch", "other")
	w.post("lunch", props{3, 2}.text("lunch"))
	file, text := filepath.Join(w.folder(), "lunch.ics"), props{4, 2}.text("lunch")
	saved := make(chan error, 1)
	srv.When(1, func(r davtest.Request) bool { return r.Method == "REPORT" }, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			saved <- os.WriteFile(file, []byte(text), 0o600)
			next.ServeHTTP(rw, r)
		})
	})
	w.syncs(2)
	select {
	case err := <-saved:
		w.must(err)
	default:
		w.Fatal("it fetched nothing")
	}
	if all := w.here("lunch") + w.there("lunch"); !strings.Contains(all, "SUMMARY:v3\r\n") || !strings.Contains(all, "SUMMARY:v4\r\n") {
		return "one of the two edits is gone"
	}
	return ""
}

func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }
