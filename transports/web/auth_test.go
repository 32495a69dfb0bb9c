package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/icholy/digest"
)

// guarded lets in who answers one of its challenges rightly.
type guarded struct {
	offer  []string
	secret string
	nonce  string
	stale  bool // says so of an old nonce
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := r.Header.Get("Authorization")
	ok := false
	if user, pass, is := r.BasicAuth(); is {
		ok = slices.ContainsFunc(g.offer, func(o string) bool { return strings.Contains(strings.ToLower(o), "basic") }) && user == "alice" && pass == g.secret
	} else if strings.HasPrefix(a, "Bearer ") {
		ok = a == "Bearer "+g.secret
	} else if c, err := digest.ParseCredentials(a); err == nil && c.Nonce == g.nonce {
		want, err := digest.Digest(&digest.Challenge{Realm: "r", Nonce: g.nonce, QOP: []string{"auth"}},
			digest.Options{Method: r.Method, URI: r.RequestURI, Count: c.Nc, Cnonce: c.Cnonce, Username: "alice", Password: g.secret})
		ok = err == nil && want.Response == c.Response
	}
	if ok {
		fmt.Fprint(w, "in")
		return
	}
	for _, o := range g.offer {
		o = strings.ReplaceAll(o, "NONCE", g.nonce)
		if g.stale && strings.HasPrefix(a, "Digest") {
			o += ", stale=true"
		}
		w.Header().Add("WWW-Authenticate", o)
	}
	w.WriteHeader(401)
}

const digestOffer = `Digest realm="r", nonce="NONCE", qop="auth, auth-int", algorithm=MD5`

func TestScenario72TheLoginAnswersWhatTheServerAsks(t *testing.T) {
	for _, c := range []struct {
		auth  string
		offer []string
		want  string // what was sent in three requests
	}{
		{"auto", []string{`Basic realm="x"`}, "- Basic Basic Basic"},
		{"auto", []string{`basic`}, "- Basic Basic Basic"},
		{"auto", nil, "- Basic"},
		{"auto", []string{digestOffer}, "- Digest Digest Digest"},
		{"auto", []string{`Basic realm="a, b"`, digestOffer}, "- Digest Digest Digest"},
		{"auto", []string{`Basic realm="a, b", ` + digestOffer}, "- Digest Digest Digest"},
		{"auto", []string{`Negotiate, NTLM, Basic realm="x"`}, "- Basic Basic Basic"},
		{"auto", []string{`Bearer realm="x"`}, "- Bearer Bearer Bearer"},
		{"auto", []string{`Digest realm="r", nonce="NONCE", algorithm=MD7`, "Basic"}, "- Basic Basic Basic"},
		{"auto", []string{"Negotiate"}, "-"},
		{"basic", []string{"Basic"}, "Basic Basic Basic"},
		{"basic", []string{digestOffer}, "Basic"},
		{"digest", []string{"Basic", digestOffer}, "- Digest Digest Digest"},
		{"digest", []string{"Basic"}, "-"},
		{"bearer", []string{"Bearer"}, "Bearer Bearer Bearer"},
		{"oauth2", []string{"Bearer"}, "Bearer Bearer Bearer"},
		{"none", []string{"Basic"}, "-"},
	} {
		g := &guarded{offer: c.offer, secret: "secret", nonce: "n1"}
		j := serve(t, g.ServeHTTP)
		cl := client(t, Options{Origins: []*url.URL{parse(t, j.URL)}, Auth: c.auth, Login: alice})
		in := strings.Count(c.want, " ") >= 2
		for range 3 {
			status, _, err := do(t, cl, "PROPFIND", j.URL+"/a,b", "body")
			if err != nil || (status == 200) != in {
				t.Errorf("%s %q: %d, %v", c.auth, c.offer, status, err)
			}
			if !in {
				break
			}
		}
		var got []string
		for _, l := range j.asked() {
			_, a, ok := strings.Cut(l, " [")
			if !ok {
				a = "-]"
			}
			if !strings.HasPrefix(l, "PROPFIND /a,b body") {
				t.Errorf("asked %q", l)
			}
			got = append(got, strings.TrimSuffix(a, "]"))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s %q: sent %q, want %q", c.auth, c.offer, got, c.want)
		}
	}
}

func TestALoginThatIsRefusedIsOfferedOnceAndFetchedOnceMore(t *testing.T) {
	for _, offer := range []string{"Basic", digestOffer, "Bearer"} {
		g := &guarded{offer: []string{offer}, secret: "new", nonce: "n1"}
		j := serve(t, g.ServeHTTP)
		asked, secret := 0, "old"
		c := client(t, Options{Origins: []*url.URL{parse(t, j.URL)}, Login: func(context.Context) (string, string, error) {
			asked++
			return "alice", secret, nil
		}})
		if status, _, err := do(t, c, "GET", j.URL, ""); status != 401 || err != nil || asked != 2 || len(j.asked()) != 2 {
			t.Errorf("%s: a wrong secret: %d, %v, asked for it %d times", offer, status, err, asked)
		}
		// It was renewed meanwhile.
		secret = "new"
		if status, _, err := do(t, c, "GET", j.URL, ""); status != 200 || err != nil {
			t.Errorf("%s: a renewed secret: %d, %v", offer, status, err)
		}
		g.secret, secret, asked = "newer", "newer", 0
		if status, _, err := do(t, c, "GET", j.URL, ""); status != 200 || err != nil || asked != 1 {
			t.Errorf("%s: a token that ran out: %d, %v, asked for it %d times", offer, status, err, asked)
		}
	}
}

func TestANonceThatRanOutCostsOneExchangeAndNoQuestion(t *testing.T) {
	for _, stale := range []bool{true, false} {
		g := &guarded{offer: []string{digestOffer}, secret: "secret", nonce: "n1", stale: stale}
		j := serve(t, g.ServeHTTP)
		asked := 0
		c := client(t, Options{Origins: []*url.URL{parse(t, j.URL)}, Login: func(context.Context) (string, string, error) {
			asked++
			return "alice", "secret", nil
		}})
		for _, nonce := range []string{"n1", "n2", "n3"} {
			g.nonce = nonce
			j.asked()
			if status, _, err := do(t, c, "PUT", j.URL, "x"); status != 200 || err != nil || len(j.asked()) != 2 || asked != 1 {
				t.Errorf("stale %v, %s: %d, %v, asked for the secret %d times", stale, nonce, status, err, asked)
			}
		}
	}
}

func TestASecretIsAskedForOnlyWhenItIsNeededAndItsAbsenceIsTold(t *testing.T) {
	open := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	locked := errors.New("the keyring is locked")
	asked := 0
	c := client(t, Options{Origins: []*url.URL{parse(t, open.URL)}, Login: func(context.Context) (string, string, error) {
		asked++
		return "", "", locked
	}})
	if status, _, err := do(t, c, "GET", open.URL, ""); status != 200 || err != nil || asked != 0 {
		t.Errorf("%d, %v, asked %d times", status, err, asked)
	}
	shut := serve(t, (&guarded{offer: []string{"Basic"}}).ServeHTTP)
	c.Trust(parse(t, shut.URL))
	if _, _, err := do(t, c, "GET", shut.URL, ""); !errors.Is(err, locked) || asked != 1 {
		t.Errorf("%v, asked %d times", err, asked)
	}
}

func TestNoSecretIsInAnError(t *testing.T) {
	j := serve(t, (&guarded{offer: []string{"Basic"}}).ServeHTTP)
	for _, l := range [][2]string{{"alice", "hunter2\r\nX: y"}, {"ali:ce", "hunter2"}, {"al\nice", "hunter2"}} {
		c := client(t, Options{Origins: []*url.URL{parse(t, j.URL)}, Login: func(context.Context) (string, string, error) { return l[0], l[1], nil }})
		_, _, err := do(t, c, "GET", j.URL, "")
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", l, err)
		}
	}
}

func TestManyRequestsAtOnceLogInTogether(t *testing.T) {
	for _, offer := range []string{"Basic", digestOffer} {
		j := serve(t, (&guarded{offer: []string{offer}, secret: "secret", nonce: "n1"}).ServeHTTP)
		var mu sync.Mutex
		asked := 0
		c := client(t, Options{Origins: []*url.URL{parse(t, j.URL)}, Login: func(context.Context) (string, string, error) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			return "alice", "secret", nil
		}})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				req, _ := http.NewRequestWithContext(t.Context(), "GET", j.URL, nil)
				if status, _, err := send(c, req); status != 200 || err != nil {
					t.Errorf("%s: %d, %v", offer, status, err)
				}
			})
		}
		wg.Wait()
		if asked != 1 {
			t.Errorf("%s: the secret was asked for %d times", offer, asked)
		}
	}
}

func TestWaitingForASecretEndsWithTheRequest(t *testing.T) {
	j := serve(t, (&guarded{offer: []string{"Basic"}}).ServeHTTP)
	begun := make(chan struct{})
	c := client(t, Options{Origins: []*url.URL{parse(t, j.URL)}, Login: func(ctx context.Context) (string, string, error) {
		close(begun)
		<-ctx.Done()
		return "", "", ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			if i == 1 {
				<-begun // and then stands behind the other
			}
			req, _ := http.NewRequestWithContext(ctx, "GET", j.URL, nil)
			if _, _, err := send(c, req); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	<-begun
	cancel()
	wg.Wait()
}

func TestChallengesAreTakenApart(t *testing.T) {
	got := challenges([]string{`Newauth realm="apps", type=1, title="Login to \"apps\", please", Basic realm="simple"`, "Negotiate", `Digest nonce = "a,b" , opaque=x`, ",,", ""})
	want := []challenge{{"newauth", `realm="apps", type=1, title="Login to \"apps\", please"`}, {"basic", `realm="simple"`}, {"negotiate", ""}, {"digest", `nonce = "a,b", opaque=x`}}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if _, err := New(Options{Auth: "ntlm"}); err == nil {
		t.Error("an unknown auth was taken")
	}
}
