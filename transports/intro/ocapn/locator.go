package ocapn

import (
	"cmp"
	"crypto/ed25519"
	"encoding/base32"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Transport is the only one here.
const Transport = "unix-domain-socket"

// A Locator says where a peer is: its designator, and hints of servers that can
// introduce to it. Two are of the same peer if designator and transport are.
type Locator struct {
	Designator, Transport string
	Hints                 map[string]string
}

var plain32 = base32.StdEncoding.WithPadding(base32.NoPadding)

// Designator is a key as names have it.
func Designator(key ed25519.PublicKey) string { return strings.ToLower(plain32.EncodeToString(key)) }

// KeyOf is the key of a designator.
func KeyOf(designator string) (ed25519.PublicKey, error) {
	key, err := plain32.DecodeString(strings.ToUpper(designator))
	if err != nil || len(key) != ed25519.PublicKeySize || Designator(key) != designator {
		return nil, fmt.Errorf("%q is no designator: it must be a key of Ed25519 in base32, lower case", designator)
	}
	return key, nil
}

// Same tells whether two locators are of one peer.
func (l Locator) Same(other Locator) bool {
	return l.Designator == other.Designator && l.Transport == other.Transport
}

// String is the locator as a URI.
func (l Locator) String() string { return l.uri("") }

func (l Locator) uri(path string) string {
	u := url.URL{Scheme: "ocapn", Host: l.Designator + "." + l.Transport, Path: path}
	q := url.Values{}
	for k, v := range l.Hints {
		q.Set(k, v)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// A Sturdyref is one object of a peer.
type Sturdyref struct {
	Locator
	Swiss string // number that cannot be guessed
}

func (s Sturdyref) String() string { return s.uri("/s/" + s.Swiss) }

// ParseURI reads a locator, or a sturdyref; of the first the swiss number is "".
func ParseURI(s string) (ref Sturdyref, err error) {
	bad := fmt.Errorf("%q is no locator: it is written ocapn://DESIGNATOR.TRANSPORT, with /s/NUMBER for one object, and ?KEY=VALUE for hints", s)
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "ocapn" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return ref, bad
	}
	designator, transport, ok := strings.Cut(u.Host, ".")
	swiss, isRef := strings.CutPrefix(u.Path, "/s/")
	if !ok || designator == "" || transport == "" || u.Path != "" && (!isRef || swiss == "" || strings.Contains(swiss, "/")) {
		return ref, bad
	}
	ref.Designator, ref.Transport, ref.Swiss = designator, transport, swiss
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return ref, bad
	}
	for k, v := range q {
		if len(v) != 1 {
			return ref, bad
		}
		if ref.Hints == nil {
			ref.Hints = map[string]string{}
		}
		ref.Hints[k] = v[0]
	}
	return ref, nil
}

// record is the locator as records have it.
func (l Locator) record(hints bool) Record {
	r := Record{Symbol("ocapn-peer"), []any{Symbol(cmp.Or(l.Transport, Transport)), l.Designator, false}}
	if hints && len(l.Hints) > 0 {
		var d Dict
		for _, k := range slices.Sorted(maps.Keys(l.Hints)) {
			d = append(d, Pair{k, l.Hints[k]})
		}
		r.Args[2] = d
	}
	return r
}

func locatorOf(v any) (l Locator, err error) {
	r, ok := v.(Record)
	bad := syntax("no locator of a peer")
	if !ok || r.Label != Symbol("ocapn-peer") || len(r.Args) != 3 {
		return l, bad
	}
	transport, ok1 := r.Args[0].(Symbol)
	designator, ok2 := r.Args[1].(string)
	if !ok1 || !ok2 {
		return l, bad
	}
	l.Transport, l.Designator = string(transport), designator
	hints, _ := r.Args[2].(Dict)
	for _, p := range hints {
		k, isText := p.Key.(string)
		if !isText {
			return l, bad
		}
		if l.Hints == nil {
			l.Hints = map[string]string{}
		}
		l.Hints[k] = fmt.Sprint(p.Value) // 1, "t" or t: that it is there is what it says
	}
	return l, nil
}
