package dav_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/storage/dav"
	"davbus.org/davbus/engine/storage/memory"
)

// filled is a server with n events in the calendar "cal", and its storage.
func filled(t *testing.T, n int, o davtest.Options) (*davtest.Server, *memory.Storage, *dav.Storage, *dav.Source) {
	t.Helper()
	s := davtest.New(t, o)
	m := s.Calendar("cal")
	for i := range n {
		uid := fmt.Sprintf("e%04d", i)
		m.Put(engine.Ref(uid+".ics"), event(uid, "one"))
	}
	src := source(t, s, o)
	st := open(t, src, "cal")
	s.ResetLog()
	return s, m, st, src
}

func TestNothingButAWholeListIsAList(t *testing.T) {
	for name, c := range map[string]struct {
		fault davtest.Fault
		kinds []engine.Kind
	}{
		"an empty 207":           {davtest.Empty207(), []engine.Kind{engine.ServerNonconforming}},
		"a login page":           {davtest.HTML200(), []engine.Kind{engine.ServerNonconforming}},
		"a login page as 207":    {davtest.Answer(207, "text/html", "<html><body><br>Log in</body></html>"), []engine.Kind{engine.ServerNonconforming}},
		"200 and text":           {davtest.Answer(200, "text/plain", "Hello world"), []engine.Kind{engine.ServerNonconforming}},
		"204":                    {davtest.Status(204), []engine.Kind{engine.ServerNonconforming}},
		"304":                    {davtest.Status(304), []engine.Kind{engine.ServerNonconforming}},
		"400":                    {davtest.Status(400), []engine.Kind{engine.ServerNonconforming}},
		"401":                    {davtest.Status(401), []engine.Kind{engine.AuthFailed}},
		"403":                    {davtest.Status(403), []engine.Kind{engine.Forbidden}},
		"404":                    {davtest.Status(404), []engine.Kind{engine.CollectionGone}},
		"410":                    {davtest.Status(410), []engine.Kind{engine.CollectionGone}},
		"405":                    {davtest.Status(405), []engine.Kind{engine.NotSupported}},
		"423":                    {davtest.Status(423), []engine.Kind{engine.Busy}},
		"500":                    {davtest.Status(500), []engine.Kind{engine.ServerError}},
		"502":                    {davtest.Status(502), []engine.Kind{engine.ServerError}},
		"504":                    {davtest.Status(504), []engine.Kind{engine.Timeout}},
		"507":                    {davtest.Status(507), []engine.Kind{engine.QuotaExceeded}},
		"a cut connection":       {davtest.Reset(), []engine.Kind{engine.ConnectionLost}},
		"a cut body":             {davtest.Truncate(900, true), []engine.Kind{engine.ConnectionLost}},
		"a body that ends early": {davtest.Truncate(900, false), []engine.Kind{engine.ServerNonconforming}},
		"an href elsewhere":      {davtest.Hrefs(func(h string) string { return "https://evil.example" + h }), []engine.Kind{engine.ServerNonconforming}},
		"an empty href":          {davtest.Hrefs(func(string) string { return "" }), []engine.Kind{engine.ServerNonconforming}},
		"hrefs of elsewhere":     {davtest.Hrefs(func(h string) string { return "/other" + h }), []engine.Kind{engine.ServerNonconforming}},
		"a 507 inside": {davtest.Edit(func(b []byte) []byte {
			return bytes.Replace(b, []byte("</d:multistatus>"), []byte("<d:response><d:href>/user/calendars/cal/</d:href><d:status>HTTP/1.1 507 Insufficient Storage</d:status></d:response></d:multistatus>"), 1)
		}), []engine.Kind{engine.ServerNonconforming, engine.QuotaExceeded}},
		"a 507 for a member": {davtest.Edit(func(b []byte) []byte {
			return bytes.Replace(b, []byte("</d:multistatus>"), []byte("<d:response><d:href>/user/calendars/cal/x.ics</d:href><d:status>HTTP/1.1 507 Insufficient Storage</d:status></d:response></d:multistatus>"), 1)
		}), []engine.Kind{engine.ServerNonconforming}},
		"a 403 for itself": {davtest.Edit(func([]byte) []byte {
			return []byte(`<multistatus xmlns="DAV:"><response><href>/user/calendars/cal/</href><status>HTTP/1.1 403 Forbidden</status></response></multistatus>`)
		}), []engine.Kind{engine.Forbidden}},
		"something after its end": {davtest.Edit(func(b []byte) []byte { return append(b, "<d:more/>"...) }), []engine.Kind{engine.ServerNonconforming}},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, st, _ := filled(t, 3, davtest.Options{})
			s.Always("PROPFIND", c.fault)
			_, err := list(t, st)
			wantKind(t, err, c.kinds...)
			s.Heal()
			if heads, err := list(t, st); err != nil || len(heads) != 3 {
				t.Errorf("afterwards: %v, %v", heads, err)
			}
		})
	}
}

func TestAListIsReadHoweverItIsSpelled(t *testing.T) {
	edit := func(from, to string) davtest.Fault {
		return davtest.Edit(func(b []byte) []byte {
			if !bytes.Contains(b, []byte(from)) {
				panic("the test edits nothing: " + from)
			}
			return bytes.ReplaceAll(b, []byte(from), []byte(to))
		})
	}
	for name, fault := range map[string]davtest.Fault{
		"as it is":           davtest.Edit(func(b []byte) []byte { return b }),
		"absolute hrefs":     davtest.Hrefs(func(h string) string { return "http://127.0.0.1" + h }),
		"another port":       davtest.Hrefs(func(h string) string { return "https://127.0.0.1:8443" + h }),
		"relative hrefs":     davtest.Hrefs(func(h string) string { return "./" + strings.TrimPrefix(h, "/user/calendars/cal/") }),
		"escaped letters":    davtest.Hrefs(func(h string) string { return strings.ReplaceAll(h, "e", "%65") }),
		"padded hrefs":       davtest.Hrefs(func(h string) string { return "\n\t " + h + " \n" }),
		"everything twice":   davtest.Doubled(),
		"weak etags":         davtest.Etags(davtest.WeakEtags),
		"etags of gzip":      davtest.Etags(davtest.GzipEtags),
		"bare etags":         davtest.Etags(davtest.BareEtags),
		"a stranger":         davtest.Stranger("/user/calendars/other/x.ics"),
		"a folder inside":    davtest.Stranger("/user/calendars/cal/folder/"),
		"a BOM":              davtest.Edit(func(b []byte) []byte { return append([]byte("\xef\xbb\xbf"), b...) }),
		"blank lines before": davtest.Edit(func(b []byte) []byte { return append([]byte("\r\n \n"), b...) }),
		"no name space":      davtest.Edit(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(` xmlns:d="DAV:"`), nil) }),
		"status in short":    edit("HTTP/1.1 200 OK", "200"),
		"another version":    edit("HTTP/1.1 200 OK", "HTTP/2.0 200"),
		"Latin-1 declared":   edit(`encoding="utf-8"`, `encoding="ISO-8859-1"`),
		"a comment":          davtest.Edit(func(b []byte) []byte { return append(b, "<!-- made in 5 ms -->\n"...) }),
	} {
		t.Run(name, func(t *testing.T) {
			s, _, st, _ := filled(t, 3, davtest.Options{})
			want, err := list(t, st)
			if err != nil || len(want) != 3 {
				t.Fatal(want, err)
			}
			s.Always("PROPFIND", fault)
			got, err := list(t, st)
			if err != nil {
				t.Fatal(err)
			}
			for ref, etag := range want {
				if got[ref] != etag || etag == "" {
					t.Errorf("%s has the etag %q, want %q", ref, got[ref], etag)
				}
			}
			if len(got) != len(want) {
				t.Errorf("listed %v", got)
			}
		})
	}
}

func TestAMemberThatCannotBeReadIsStillThere(t *testing.T) {
	s, _, st, _ := filled(t, 3, davtest.Options{})
	s.Always("PROPFIND", davtest.Edit(func(b []byte) []byte {
		return bytes.Replace(b, []byte("</d:multistatus>"), []byte(
			"<d:response><d:href>/user/calendars/cal/bad.ics</d:href><d:status>HTTP/1.1 403 Forbidden</d:status></d:response>"+
				"<d:response><d:href>/user/calendars/cal/gone.ics</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response></d:multistatus>"), 1)
	}))
	heads, err := list(t, st)
	if _, ok := heads["bad.ics"]; err != nil || !ok || len(heads) != 4 {
		t.Errorf("listed %v, %v", heads, err)
	}
}
