package davtest_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/icholy/digest"
	"go.uber.org/goleak"

	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/storage/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const path = "/user/calendars/home/"

var text = strings.ReplaceAll("BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:a\nSUMMARY:one\nDTSTAMP:20260101T000000Z\nEND:VEVENT\nEND:VCALENDAR\n", "\n", "\r\n")

type rig struct {
	t   *testing.T
	srv *davtest.Server
	c   *http.Client
	s   *memory.Storage
}

func newRig(t *testing.T, opt davtest.Options) rig {
	srv := davtest.New(t, opt)
	s := srv.Calendar("home")
	s.Put("a", []byte(text))
	return rig{t, srv, srv.Client(t), s}
}

var errHalf = errors.New("half an answer")

// do gives the status, the body and the headers; status 0 is a lost connection.
func (r rig) do(method, at, body string, headers ...string) (int, string, http.Header, error) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.srv.URL+at, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := r.c.Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		err = errHalf
	}
	return resp.StatusCode, string(all), resp.Header, err
}

func TestFaultsHappenWhereTheyAreScripted(t *testing.T) {
	r := newRig(t, davtest.Options{})
	r.srv.At(1, davtest.Status(503, "Retry-After", "7"))
	r.srv.At(2, davtest.Reset())
	r.srv.Always("DELETE", davtest.Status(423))
	var got []int
	for range 4 {
		status, _, _, _ := r.do("PROPFIND", path, "", "Depth", "0")
		got = append(got, status)
	}
	status, _, _, _ := r.do("DELETE", path+"a", "")
	if got = append(got, status); !slices.Equal(got, []int{207, 503, 0, 207, 423}) {
		t.Errorf("got %v", got)
	}
	log := r.srv.Log()
	if len(log) != 5 || log[1].Status != 503 || log[2].Status != 0 || log[3].N != 3 || log[3].Out == 0 || log[0].Path != path || r.srv.Count("DELETE") != 1 {
		t.Errorf("logged %+v", log)
	}
	r.srv.Heal()
	r.srv.ResetLog()
	if status, _, _, _ := r.do("DELETE", path+"a", ""); status != 204 || len(r.srv.Log()) != 1 {
		t.Errorf("after it was healed: %d, %+v", status, r.srv.Log())
	}
}

func TestWhatIsAppliedAndWhatIsNot(t *testing.T) {
	for name, c := range map[string]struct {
		fault   davtest.Fault
		status  int
		applied bool
	}{
		"reset":       {davtest.Reset(), 0, false},
		"then reset":  {davtest.ThenReset(), 0, true},
		"then status": {davtest.ThenStatus(500), 500, true},
		"status":      {davtest.Status(500), 500, false},
		"html":        {davtest.HTML200(), 200, false},
		"no check":    {davtest.Etags(davtest.IgnoreChecks), 204, true},
		"as it is":    {davtest.Edit(func(b []byte) []byte { return b }), 412, false},
	} {
		r := newRig(t, davtest.Options{Unix: name == "reset"})
		headers := []string{"If-Match", `"1"`}
		if c.status == 412 || name == "no check" {
			headers[1] = `"stale"`
		}
		r.srv.At(0, c.fault)
		status, _, _, _ := r.do("PUT", path+"a", strings.Replace(text, "one", "two", 1), headers...)
		if applied := strings.Contains(r.s.Texts()["a"], "two"); status != c.status || applied != c.applied {
			t.Errorf("%s: status %d, applied %v; want %d, %v", name, status, applied, c.status, c.applied)
		}
	}
}

func TestBodiesComeSlowlyOrHalf(t *testing.T) {
	r := newRig(t, davtest.Options{})
	r.srv.At(0, davtest.Slow(20, time.Microsecond))
	r.srv.At(1, davtest.Truncate(30, true))
	r.srv.At(2, davtest.Truncate(30, false))
	r.srv.At(3, davtest.Empty207())
	if _, body, _, err := r.do("GET", path+"a", ""); body != text || err != nil {
		t.Errorf("slowly came %q, %v", body, err)
	}
	if _, body, _, err := r.do("GET", path+"a", ""); body != text[:30] || err == nil {
		t.Errorf("half and told came %q, %v", body, err)
	}
	if _, body, _, err := r.do("GET", path+"a", ""); body != text[:30] || err != nil {
		t.Errorf("half and not told came %q, %v", body, err)
	}
	if status, body, _, _ := r.do("PROPFIND", path, "", "Depth", "1"); status != 207 || strings.Contains(body, "response") {
		t.Errorf("empty came %d %q", status, body)
	}
}

func TestEtagsAreWrongAsAsked(t *testing.T) {
	for mode, want := range map[davtest.EtagMode][3]string{ // of PUT, GET, PROPFIND
		davtest.NoEtagOnPut: {"", `"2"`, `>&quot;2&quot;<`},
		davtest.NoEtags:     {"", "", ""},
		davtest.WeakEtags:   {`W/"2"`, `W/"2"`, `>W/&quot;2&quot;<`},
		davtest.BareEtags:   {"2", "2", ">2<"},
		davtest.WrongOnPut:  {`"not-2"`, `"2"`, `>&quot;2&quot;<`},
		davtest.GzipEtags:   {`"2"`, `"2-gzip"`, `>&quot;2&quot;<`},
	} {
		r := newRig(t, davtest.Options{})
		r.srv.Always("", davtest.Etags(mode))
		_, _, put, _ := r.do("PUT", path+"a", strings.Replace(text, "one", "two", 1))
		_, _, get, _ := r.do("GET", path+"a", "")
		_, body, _, _ := r.do("PROPFIND", path+"a", "", "Depth", "0")
		if put.Get("ETag") != want[0] || get.Get("ETag") != want[1] || !strings.Contains(body, want[2]) || want[2] == "" && strings.Contains(body, "getetag") {
			t.Errorf("mode %d: PUT %q, GET %q, want %q\n%s", mode, put.Get("ETag"), get.Get("ETag"), want, body)
		}
		// What the server told is understood again.
		if etag := get.Get("ETag"); etag != "" && mode != davtest.NoEtagOnPut {
			if status, _, _, _ := r.do("DELETE", path+"a", "", "If-Match", etag); status != 204 {
				t.Errorf("mode %d: its own etag %s gives %d", mode, etag, status)
			}
		}
	}
}

func TestARewritingServerKeepsTheMeaningAndClaimsTheBytes(t *testing.T) {
	r := newRig(t, davtest.Options{})
	r.srv.Always("", davtest.Rewriting())
	_, _, put, _ := r.do("PUT", path+"b", strings.Replace(text, "UID:a", "UID:b\r\nX-LONG:1\r\n 2", 1))
	_, body, get, _ := r.do("GET", path+"b", "")
	want := strings.ReplaceAll("BEGIN:VCALENDAR\nPRODID:-//davtest//rewriting server//EN\nVERSION:2.0\nX-RADICALE-NAME:item.ics\nBEGIN:VEVENT\nDTSTAMP:20260101T000000Z\nSUMMARY:one\nUID:b\nX-LONG:1\n 2\nEND:VEVENT\nEND:VCALENDAR\n", "\n", "\r\n")
	if body != want || put.Get("ETag") == "" || put.Get("ETag") != get.Get("ETag") {
		t.Errorf("PUT told %q, then there is %q\n%s", put.Get("ETag"), get.Get("ETag"), body)
	}
}

func sync(token string) string {
	return `<D:sync-collection xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:sync-token>` + token + `</D:sync-token><D:prop><D:getetag/><C:calendar-data/></D:prop></D:sync-collection>`
}

func TestTokensAreRefusedInEveryWay(t *testing.T) {
	for _, how := range davtest.TokenRefusals {
		r := newRig(t, davtest.Options{})
		_, body, _, _ := r.do("REPORT", path, sync(""))
		_, after, _ := strings.Cut(body, "<d:sync-token>")
		token, _, _ := strings.Cut(after, "<")
		r.srv.Always("", davtest.RefuseTokens(how))
		if status, body, _, _ := r.do("REPORT", path, sync("")); status != 207 || !strings.Contains(body, "SUMMARY:one") {
			t.Errorf("refusal %d: without a token %d", how, status)
		}
		status, body, _, _ := r.do("REPORT", path, sync(token))
		if (status == 207) != (how == davtest.TokenEverything) || how == davtest.TokenEverything && !strings.Contains(body, "SUMMARY:one") {
			t.Errorf("refusal %d: with a token %d\n%s", how, status, body)
		}
	}
}

func TestReportsArePoorAsAsked(t *testing.T) {
	r := newRig(t, davtest.Options{})
	r.s.Put("b", []byte(strings.Replace(text, "UID:a", "UID:b", 1)))
	multiget := `<C:calendar-multiget xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/></D:prop><D:href>` + path + `a</D:href><D:href>` + path + `b</D:href></C:calendar-multiget>`
	for name, c := range map[string]struct {
		fault  davtest.Fault
		body   string
		status int
		has    string
		hasNot string
	}{
		"no inline":     {davtest.NoInline(), sync(""), 207, "getetag", "SUMMARY"},
		"no report":     {davtest.NoReport("sync-collection", 415), sync(""), 415, "", "getetag"},
		"another":       {davtest.NoReport("sync-collection", 415), multiget, 207, "getetag", ""},
		"capped":        {davtest.SilentCap("multiget", 1), multiget, 207, path + "a", path + "b"},
		"many":          {davtest.RefuseMany(1), multiget, 403, "number-of-matches", ""},
		"not too many":  {davtest.RefuseMany(2), multiget, 207, path + "b", ""},
		"spelled hrefs": {davtest.Hrefs(func(h string) string { return "http://localhost" + h }), multiget, 207, "<d:href>http://localhost" + path, ""},
		"stranger":      {davtest.Stranger("/elsewhere"), multiget, 207, "<d:href>/elsewhere</d:href>", ""},
	} {
		r.srv.Heal()
		r.srv.Always("", c.fault)
		status, body, _, _ := r.do("REPORT", path, c.body)
		if status != c.status || !strings.Contains(body, c.has) || c.hasNot != "" && strings.Contains(body, c.hasNot) {
			t.Errorf("%s: %d\n%s", name, status, body)
		}
	}
	r.srv.Heal()
	r.srv.Always("", davtest.Doubled())
	if _, body, _, _ := r.do("REPORT", path, multiget); strings.Count(body, path+"a<") != 2 {
		t.Errorf("doubled:\n%s", body)
	}
	r.srv.Heal()
	r.srv.Always("", davtest.RefuseChunked())
	req, _ := http.NewRequestWithContext(t.Context(), "REPORT", r.srv.URL+path, io.MultiReader(strings.NewReader(multiget)))
	resp, err := r.c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if strings.Contains(string(body), "response") || !r.srv.Log()[len(r.srv.Log())-1].Chunked {
		t.Errorf("chunked: %s", body)
	}
}

func TestARefusedPutHidesInA207(t *testing.T) {
	r := newRig(t, davtest.Options{})
	r.srv.Always("", davtest.PutIn207())
	status, body, _, _ := r.do("PUT", path+"b", text)
	if status != 207 || !strings.Contains(body, "no-uid-conflict") || !strings.Contains(body, "412") {
		t.Errorf("%d\n%s", status, body)
	}
	if status, _, _, _ := r.do("PUT", path+"a", text); status != 204 {
		t.Errorf("one that is taken gives %d", status)
	}
}

func TestDigestLogin(t *testing.T) {
	r := newRig(t, davtest.Options{User: "user", Password: "secret", Digest: true})
	status, _, h, _ := r.do("GET", path+"a", "")
	if status != 401 || !strings.HasPrefix(h.Get("WWW-Authenticate"), "Digest ") {
		t.Fatalf("without a login: %d %v", status, h)
	}
	if status, _, _, _ := r.do("GET", path+"a", "", "Authorization", `Digest username="user", realm="davtest", nonce="x", uri="`+path+`a", qop=auth, nc=1, cnonce="c", response="x"`); status != 401 {
		t.Errorf("a wrong login gives %d", status)
	}
	r.c.Transport = &digest.Transport{Username: "user", Password: "secret", Transport: r.c.Transport}
	if status, body, _, err := r.do("GET", path+"a", ""); status != 200 || body != text {
		t.Errorf("with the login: %d %v", status, err)
	}
}

func TestARestartKeepsItemsAndPlace(t *testing.T) {
	for _, unix := range []bool{false, true} {
		r := newRig(t, davtest.Options{Unix: unix})
		url := r.srv.URL
		r.srv.Stop()
		r.c.CloseIdleConnections()
		if status, _, _, err := r.do("GET", path+"a", ""); err == nil {
			t.Errorf("a stopped server answers %d", status)
		}
		if err := r.srv.Restart(); err != nil {
			t.Fatal(err)
		}
		if status, body, _, _ := r.do("GET", path+"a", ""); status != 200 || body != text || r.srv.URL != url {
			t.Errorf("restarted at %s: %d", r.srv.URL, status)
		}
	}
}
