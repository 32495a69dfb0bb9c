package dav_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/storage/dav"
)

func TestALookTellsWhatPeopleSee(t *testing.T) {
	const h = "https://dav.example.org"
	w := &fakeWeb{pages: map[string]string{
		h + "/": "<calendar-home-set><href>/h/</href></calendar-home-set>",
		h + "/h/": folder + strings.Join([]string{"",
			`/h/w%c3%b6rk%20%2f1/ ` + calendar + `<displayname> Work </displayname><calendar-color>#aabbccff</calendar-color><calendar-order> 3 </calendar-order>` +
				`<calendar-description>mine</calendar-description><sync-token>t1</sync-token><getctag>c1</getctag>` +
				`<supported-calendar-component-set><comp name="VEVENT"/><comp name="VTIMEZONE"/><comp name="vtodo"/></supported-calendar-component-set>` +
				`<current-user-privilege-set><privilege><read/></privilege><privilege><write-content/></privilege></current-user-privilege-set>`,
			`/h/holidays/ ` + calendar + `<current-user-privilege-set><privilege><read/></privilege></current-user-privilege-set><calendar-color>red</calendar-color><getctag>c2</getctag>`,
			`/h/books/ ` + book + `<addressbook-color>#123456</addressbook-color><addressbook-description>friends</addressbook-description>` +
				`<supported-address-data><address-data-type content-type="text/vcard" version="3.0"/><address-data-type content-type="text/vcard" version="4.0"/><address-data-type content-type="application/vcard+json" version="4.0"/></supported-address-data>`,
			`/h/old/ ` + book + `<supported-address-data><content-type content-type="text/vcard" version="3.0"/></supported-address-data>`,
			`/h/any/ ` + book,
			`https://dav.evil.example/h/shared/ ` + calendar,
		}, "\n"),
	}}
	s, err := dav.New(dav.Options{URL: h + "/", User: "alice", Client: w})
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.Look(t.Context(), false)
	if err != nil || len(found) != 5 {
		t.Fatalf("%v, %v", found, err)
	}
	c := found[0]
	if c.Name != "wörk /1" || c.Parent != "h" || c.Kind != engine.Calendar || !c.Writable || c.URL != h+"/h/w%c3%b6rk%20%2f1/" ||
		!slices.Equal(c.Components, []string{"VEVENT", "VTODO"}) || c.Identity != h+"/h/wörk /1/ alice" || !strings.Contains(c.State, "t1") || !strings.Contains(c.State, "c1") {
		t.Errorf("%+v", c)
	}
	want := engine.Meta{engine.MetaName: "Work", engine.MetaColor: "#AABBCC", engine.MetaDescription: "mine", engine.MetaOrder: "3"}
	for k, v := range want {
		if c.Meta[k] != v {
			t.Errorf("%s is %q, want %q", k, c.Meta[k], v)
		}
	}
	if found[1].Writable || found[1].Meta[engine.MetaColor] != "" || found[1].State != "ctag c2" {
		t.Errorf("%+v", found[1])
	}
	if b := found[2]; b.Kind != engine.AddressBook || b.Meta[engine.MetaColor] != "#123456" || b.Meta[engine.MetaDescription] != "friends" || b.State != "" || !slices.Equal(b.Components, []string{"VCARD"}) {
		t.Errorf("%+v", b)
	}
	for i, want := range [][]string{nil, nil, {engine.VCard3, engine.VCard4}, {engine.VCard3}, nil} {
		if !slices.Equal(found[i].Formats, want) || (found[i].Formats == nil) != (want == nil) {
			t.Errorf("%s takes %q, want %q", found[i].Name, found[i].Formats, want)
		}
	}
	w.asked = nil
	if _, err := s.Look(t.Context(), false); err != nil || !slices.Equal(w.asked, []string{"PROPFIND " + h + "/h/ 1"}) {
		t.Errorf("the second look asked %q, %v", w.asked, err)
	}
}

func TestHomesThatMovedAreFoundAgain(t *testing.T) {
	const h = "https://dav.example.org"
	w := &fakeWeb{pages: map[string]string{h + "/": "<calendar-home-set><href>/h/</href></calendar-home-set>", h + "/h/": folder + "\n/h/x/ " + calendar}}
	s, err := dav.New(dav.Options{URL: h + "/", Client: w})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Look(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	w.pages[h+"/"], w.pages[h+"/h2/"] = "<calendar-home-set><href>/h2/</href></calendar-home-set>", folder+"\n/h2/y/ "+calendar
	delete(w.pages, h+"/h/")
	found, err := s.Look(t.Context(), false)
	if err != nil || len(found) != 1 || found[0].Name != "y" {
		t.Errorf("%v, %v", found, err)
	}
}

func TestAFailedLookShowsNoCollections(t *testing.T) {
	for name, fault := range map[string]davtest.Fault{
		"an empty 207": davtest.Empty207(), "a login page": davtest.HTML200(), "500": davtest.Status(500), "404": davtest.Status(404),
		"403": davtest.Status(403), "a cut": davtest.Truncate(700, false),
		"404 inside": davtest.Answer(207, "text/xml", `<multistatus xmlns="DAV:"><response><href>/user/calendars/</href><status>HTTP/1.1 404 Not Found</status></response></multistatus>`),
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _, src := filled(t, 1, davtest.Options{})
			s.When(-1, func(r davtest.Request) bool { return r.Header.Get("Depth") == "1" }, fault)
			found, err := src.Look(t.Context(), false)
			if err == nil {
				t.Errorf("found %v", found)
			}
			s.Heal()
			if found, err := src.Look(t.Context(), false); err != nil || len(found) != 1 {
				t.Errorf("afterwards: %v, %v", found, err)
			}
		})
	}
}

func TestACheckTellsEachStepAndWhereItEnds(t *testing.T) {
	steps := func(s *dav.Source) (names []string, last error, err error) {
		err = s.Check(t.Context(), func(st engine.Step) { names = append(names, st.Name); last = st.Err })
		return names, last, err
	}
	o := davtest.Options{Unix: true, User: "alice", Password: "secret"}
	s := davtest.New(t, o)
	s.Calendar("cal")
	names, _, err := steps(source(t, s, o))
	if want := []string{"stat", "connect", "uid", "options", "login", "principal", "collections"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("%q, %v", names, err)
	}
	wrong := o
	wrong.Password = "wrong"
	names, last, err := steps(source(t, s, wrong))
	wantKind(t, err, engine.AuthFailed)
	if len(names) == 0 || names[len(names)-1] != "login" || !errors.Is(err, last) {
		t.Errorf("%q, %v", names, last)
	}
	s.Stop()
	names, last, err = steps(source(t, s, o))
	wantKind(t, err, engine.Offline)
	wantKind(t, last, engine.Offline)
	if !slices.Equal(names, []string{"stat"}) {
		t.Errorf("%q", names)
	}
}
