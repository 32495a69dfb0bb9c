package dav_test

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
)

var fullMeta = engine.Meta{engine.MetaName: "Täsks & <more>", engine.MetaColor: "#112233", engine.MetaDescription: "d", engine.MetaOrder: "4"}

func TestWhatIsMadeIsAsItWasWanted(t *testing.T) {
	for name, fault := range map[string]davtest.Fault{
		"as it should be": nil,
		"no MKCALENDAR":   onMethod("MKCALENDAR", davtest.Status(405)),
		"MKCALENDAR 501":  onMethod("MKCALENDAR", davtest.Status(501)),
		"properties refused": requests(func(r *http.Request, body []byte) bool {
			return strings.HasPrefix(r.Method, "MK") && bytes.Contains(body, []byte("displayname"))
		}, davtest.Answer(207, "text/xml", `<multistatus xmlns="DAV:"><response><href>/x</href><propstat><prop><displayname/></prop><status>HTTP/1.1 403 Forbidden</status></propstat></response></multistatus>`)),
		"a body not understood": requests(func(r *http.Request, body []byte) bool {
			return strings.HasPrefix(r.Method, "MK") && bytes.Contains(body, []byte("displayname"))
		}, davtest.Status(400)),
	} {
		for _, kind := range []string{engine.Calendar, engine.AddressBook} {
			t.Run(name+", "+kind, func(t *testing.T) {
				s := davtest.New(t, davtest.Options{})
				if fault != nil {
					s.Always("", fault)
				}
				src := source(t, s, davtest.Options{})
				want := engine.Collection{ID: "tasks", Name: "tasks 1/2", Kind: kind, Meta: fullMeta}
				if kind == engine.Calendar {
					want.Components = []string{"VTODO"}
				}
				got, err := src.Make(t.Context(), want)
				if err != nil {
					t.Fatal(err)
				}
				if got.Name != want.Name || got.ID != "tasks" || got.Kind != kind || !got.Writable || kind == engine.Calendar && !slices.Equal(got.Components, want.Components) {
					t.Errorf("%+v", got)
				}
				for k, v := range fullMeta {
					if got.Meta[k] != v {
						t.Errorf("%s is %q, want %q", k, got.Meta[k], v)
					}
				}
				if _, err := src.Make(t.Context(), want); !engine.IsKind(err, engine.AlreadyExists) {
					t.Errorf("once more: %v", err)
				}
			})
		}
	}
}

func onMethod(method string, fault davtest.Fault) davtest.Fault {
	return requests(func(r *http.Request, _ []byte) bool { return r.Method == method }, fault)
}

func TestWhatCannotBeMadeIsToldSo(t *testing.T) {
	for name, c := range map[string]struct {
		fault davtest.Fault
		kind  engine.Kind
	}{
		"403":                 {davtest.Status(403), engine.Forbidden},
		"405 for both":        {davtest.Status(405), engine.NotSupported},
		"507":                 {davtest.Status(507), engine.QuotaExceeded},
		"500":                 {davtest.Status(500), engine.ServerError},
		"made something else": {davtest.Status(201), engine.ServerNonconforming},
	} {
		s := davtest.New(t, davtest.Options{})
		s.Always("MKCALENDAR", c.fault)
		s.Always("MKCOL", c.fault)
		_, err := source(t, s, davtest.Options{}).Make(t.Context(), engine.Collection{Name: "x", Kind: engine.Calendar})
		if err == nil || engine.KindOf(err) != c.kind && !(c.kind == engine.ServerNonconforming && engine.IsKind(err, engine.CollectionGone)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := davtest.New(t, davtest.Options{})
	src := source(t, s, davtest.Options{})
	for _, c := range []engine.Collection{{Name: "x"}, {Name: "x", Kind: "notes"}, {Kind: engine.Calendar}, {Name: "..", Kind: engine.Calendar}, {Name: "a/../b", Kind: engine.Calendar}, {Name: "a\nb", Kind: engine.Calendar}} {
		if _, err := src.Make(t.Context(), c); !engine.IsKind(err, engine.Invalid) && !engine.IsKind(err, engine.NotSupported) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if s.Count("MKCALENDAR", "MKCOL") > 0 {
		t.Errorf("asked %s", methods(s))
	}
}

func TestAKeyThatIsNotKeptIsNotSupportedWhateverTheServerSays(t *testing.T) {
	inner := func(status string) davtest.Fault {
		return davtest.Answer(207, "text/xml", `<multistatus xmlns="DAV:"><response><href>http%3A//localhost/x</href><propstat><prop><displayname/></prop><status>HTTP/1.1 `+status+`</status></propstat></response></multistatus>`)
	}
	for name, fault := range map[string]davtest.Fault{
		"403": davtest.Status(403), "405": davtest.Status(405), "409": davtest.Status(409), "501": davtest.Status(501), "500": davtest.Status(500),
		"403 inside": inner("403 Forbidden"), "404 inside": inner("404 Not Found"), "409 inside": inner("409 Conflict"), "424 inside": inner("424 Failed Dependency"),
		"a false 200": inner("200 OK"), "an empty 207": davtest.Empty207(), "a false 204": davtest.Status(204),
	} {
		s, _, st, _ := filled(t, 1, davtest.Options{})
		if err := st.SetMeta(t.Context(), engine.MetaColor, "#445566", true); err != nil {
			t.Fatal(err)
		}
		s.Always("PROPPATCH", fault)
		for _, set := range []bool{true, false} {
			if err := st.SetMeta(t.Context(), engine.MetaColor, "#112233", set); !engine.IsKind(err, engine.NotSupported) {
				t.Errorf("%s, set %v: %v", name, set, err)
			}
		}
		if m, err := st.Meta(t.Context()); err != nil || m[engine.MetaColor] != "#445566" {
			t.Errorf("%s: %v, %v", name, m, err)
		}
		s.Heal()
		s.Always("PROPPATCH", davtest.Status(401))
		if err := st.SetMeta(t.Context(), engine.MetaColor, "#112233", true); !engine.IsKind(err, engine.AuthFailed) {
			t.Errorf("401: %v", err)
		}
	}
}

// Xandikos answers a removal with 500, and takes an empty value for one.
func TestAKeyIsRemovedFromAServerThatBreaksOverRemovals(t *testing.T) {
	s, _, st, _ := filled(t, 1, davtest.Options{})
	for _, key := range []engine.MetaKey{engine.MetaColor, engine.MetaName, engine.MetaOrder} {
		if err := st.SetMeta(t.Context(), key, map[bool]string{true: "#445566", false: "7"}[key == engine.MetaColor], true); err != nil {
			t.Fatal(err)
		}
		s.Always("PROPPATCH", func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || bytes.Contains(body, []byte(":remove>")) {
					http.Error(w, "it breaks", http.StatusInternalServerError)
					return
				}
				body = bytes.ReplaceAll(body, []byte("D:set>"), []byte("D:remove>")) // of what is empty
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
				next.ServeHTTP(w, r)
			})
		})
		if err := st.SetMeta(t.Context(), key, "", false); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if m, err := st.Meta(t.Context()); err != nil || m[key] != "" {
			t.Errorf("%s is still %q, %v", key, m[key], err)
		}
		s.Heal()
	}
}
