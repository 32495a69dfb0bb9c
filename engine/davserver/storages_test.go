package davserver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/engine/storage/store"
	"davbus.org/davbus/engine/storage/vdir"
)

// Whatever storage is behind it: what a client does is there for the next one,
// and what somebody else does to the storage is told.
func TestEveryStorageIsServedAlike(t *testing.T) {
	root := t.TempDir()
	// An empty folder does not tell that it is for contacts.
	must(t, os.Mkdir(filepath.Join(root, "friends"), 0o700))
	must(t, os.WriteFile(filepath.Join(root, "friends", "b.vcf"), []byte(card("b", "Bob")), 0o600))
	db, err := store.Open(filepath.Join(t.TempDir(), "store.db"))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	for name, backend := range map[string]davserver.Backend{"memory": &memory.Source{}, "vdir": vdir.New(vdir.Options{Path: root, Kind: engine.Calendar}), "store": db} {
		srv := davtest.New(t, davtest.Options{Backend: backend})
		p := newPeer(t, srv)
		p.want(201, "MKCALENDAR", home, `<c:mkcalendar `+propsOf+`><set><prop><i:calendar-color>#123456</i:calendar-color></prop></set></c:mkcalendar>`)
		want := map[bool]int{true: 405, false: 201}[name == "vdir"]
		p.want(want, "MKCOL", "/user/contacts/friends/", `<mkcol `+propsOf+`><set><prop><resourcetype><collection/><a:addressbook/></resourcetype></prop></set></mkcol>`)
		f := &follower{p: p, path: home}
		if f.follow() != 207 || len(f.etags) != 0 {
			t.Fatalf("%s: a new calendar holds %v", name, f.etags)
		}
		one := event("u", "one, folded\r\n  here")
		p.want(201, "PUT", home+"my-item.ics", one, "If-None-Match", "*")
		p.want(412, "PUT", home+"my-item.ics", one, "If-None-Match", "*")
		p.want(409, "PUT", home+"other.ics", one)
		p.want(201, "PUT", "/user/contacts/friends/a.vcf", card("a", "Ada"))
		got := p.want(200, "GET", home+"my-item.ics", "")
		if got.body != one {
			t.Errorf("%s: GET gave %q", name, got.body)
		}
		if f.follow(); len(f.etags) != 1 || f.etags[home+"my-item.ics"] != got.Header.Get("ETag") {
			t.Errorf("%s: told %v, GET %s", name, f.etags, got.Header.Get("ETag"))
		}
		p.want(204, "PUT", home+"my-item.ics", event("u", "two"), "If-Match", got.Header.Get("ETag"))
		p.want(412, "DELETE", home+"my-item.ics", "", "If-Match", got.Header.Get("ETag"))
		colour := parse(t, p.want(207, "PROPFIND", home, ask("i:calendar-color"), "Depth", "0").body).props()[home+" calendar-color"]
		if colour != "#123456" {
			t.Errorf("%s: the colour is %q", name, colour)
		}
		must(t, srv.Restart())
		p.client.CloseIdleConnections()
		if status := f.follow(); status == 403 { // a storage without tokens
			f.token = ""
			f.follow()
		}
		if etag := f.etags[home+"my-item.ics"]; etag == got.Header.Get("ETag") || etag == "" {
			t.Errorf("%s: the new version is told as %q", name, etag)
		}
		p.want(204, "DELETE", home+"my-item.ics", "", "If-Match", f.etags[home+"my-item.ics"])
		if f.follow(); len(f.etags) != 0 {
			t.Errorf("%s: what was deleted is told as %v", name, f.etags)
		}
	}
	// A name that is not safe for a file is not taken; the answer tells which is.
	srv := davtest.New(t, davtest.Options{Backend: vdir.New(vdir.Options{Path: root, Kind: engine.Calendar})})
	p := newPeer(t, srv)
	a := p.want(201, "PUT", home+"my%20item.ics", event("u", "one"))
	if a.Header.Get("Location") != home+"u.ics" || a.Header.Get("ETag") == "" {
		t.Errorf("stored under another name, the answer says %v", a.Header)
	}
	p.want(204, "DELETE", home+"u.ics", "", "If-Match", a.Header.Get("ETag"))
	left, err := os.ReadDir(filepath.Join(root, "home"))
	must(t, err)
	for _, file := range left {
		if strings.HasSuffix(file.Name(), ".ics") {
			t.Errorf("%s is left in the folder", file.Name())
		}
	}
}
