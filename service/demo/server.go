package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/item/itemtest"
	"davbus.org/davbus/engine/storage/memory"
)

// A server is the embedded one, with a calendar, a task list and an address
// book, on TCP and on a Unix socket at once.
type server struct {
	url    string
	socket string

	personal, tasks, friends *memory.Storage

	writes atomic.Int64 // requests that change something
}

const (
	user   = "ada"
	secret = "not-a-real-secret"
)

// Items that the demo edits, beside those that are made from a seed.
const (
	dentist = "dentist.ics"
	tea     = "tea.ics"
	milk    = "milk.ics"
	gym     = "gym.ics"
	grace   = "grace.vcf"
)

func newServer(s *stage, dir string) *server {
	src := &memory.Source{}
	add := func(name, kind, title, color string, components ...string) *memory.Storage {
		return src.Add(engine.Collection{Name: name, Kind: kind, Components: components, Writable: true,
			Meta: engine.Meta{engine.MetaName: title, engine.MetaColor: color}})
	}
	v := &server{
		personal: add("personal", engine.Calendar, "Personal", "#2E7D32", "VEVENT"),
		tasks:    add("tasks", engine.Calendar, "To do", "#C62828", "VTODO"),
		friends:  add("friends", engine.AddressBook, "Friends", "#1565C0", "VCARD"),
	}
	fill(s, v.personal, "VEVENT", 1200)
	fill(s, v.tasks, "VTODO", 300)
	fill(s, v.friends, "VCARD", 400)
	v.personal.Put(dentist, event("dentist", "Dentist", "20270304T090000Z"))
	v.personal.Put(tea, event("tea", "Tea", "20270305T150000Z"))
	v.personal.Put(gym, event("gym", "Gym", "20270306T180000Z"))
	v.tasks.Put(milk, text("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//davbus//demo//EN", "BEGIN:VTODO", "UID:milk", "DTSTAMP:20270101T000000Z", "SUMMARY:Buy milk", "END:VTODO", "END:VCALENDAR"))
	v.friends.Put(grace, text("BEGIN:VCARD", "VERSION:3.0", "UID:grace", "FN:Grace Hopper", "N:Hopper;Grace;;;", "EMAIL:grace@example.org", "END:VCARD"))
	v.listen(s, davserver.New(davserver.Options{Backend: src, User: user, Login: davserver.LoginAs(user, secret)}), dir)
	return v
}

// fill puts generated items of one component into a collection.
func fill(stage *stage, s *memory.Storage, component string, n int) {
	kind, suffix := engine.Calendar, ".ics"
	if component == "VCARD" {
		kind, suffix = engine.AddressBook, ".vcf"
	}
	for i, it := range itemtest.Gen(1843, 12*n+1, kind) {
		if n == 0 {
			return
		}
		if info := item.Read(it.Text); info.Parsed && slices.Equal(info.Components, []string{component}) {
			s.Put(engine.Ref(fmt.Sprintf("item-%d%s", i, suffix)), it.Text)
			n--
		}
	}
	stage.Fatalf("%d items of %s could not be made", n, component)
}

func (v *server) listen(s *stage, h http.Handler, dir string) {
	v.socket = filepath.Join(dir, "dav.sock")
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case "OPTIONS", "GET", "HEAD", "PROPFIND", "REPORT":
		default:
			v.writes.Add(1)
		}
		h.ServeHTTP(w, r)
	})}
	var wg sync.WaitGroup
	for _, at := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", v.socket}} {
		l, err := net.Listen(at[0], at[1])
		if err != nil {
			s.Fatalf("cannot listen on %s: %v", at[1], err)
		}
		if at[0] == "tcp" {
			v.url = "http://" + l.Addr().String() + "/"
		}
		wg.Go(func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				panic(err)
			}
		})
	}
	s.Cleanup(func() {
		srv.Close()
		wg.Wait()
	})
}

func (v *server) count() int {
	return len(v.personal.Texts()) + len(v.tasks.Texts()) + len(v.friends.Texts())
}

func event(uid, summary, start string) []byte {
	return text("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//davbus//demo//EN", "BEGIN:VEVENT", "UID:"+uid,
		"DTSTAMP:20270101T000000Z", "DTSTART:"+start, "DURATION:PT1H", "SUMMARY:"+summary, "END:VEVENT", "END:VCALENDAR")
}

func text(lines ...string) []byte { return []byte(strings.Join(lines, "\r\n") + "\r\n") }
