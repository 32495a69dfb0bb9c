package ocapn

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The record that the protocol's documents give for the key 00…1f and a challenge
// of four bytes.
func TestG2TheRecordsAreWrittenAsDocumented(t *testing.T) {
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	r := Record{Symbol("uds:register"), []any{Locator{Designator: Designator(key)}.record(true), bytes.Repeat([]byte{0xaa}, 4)}}
	const want = `<12'uds:register<10'ocapn-peer18'unix-domain-socket52"aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypqf>4:` + "\xaa\xaa\xaa\xaa>"
	got, err := Append(nil, r)
	if err != nil || string(got) != want {
		t.Errorf("written %q, %v", got, err)
	}
	back, err := Parse([]byte(want))
	if err != nil || !reflect.DeepEqual(back, r) {
		t.Errorf("read %#v, %v", back, err)
	}
}

func TestValuesAreReadAsTheyAreWritten(t *testing.T) {
	for _, v := range []any{
		true, false, int64(0), int64(12), int64(-12), []byte{0, 1}, "", "text é", Symbol("a"), List(nil), List{int64(1), List{true}},
		Record{"label", []any{}}, Dict(nil), Dict{{"a", int64(1)}, {"b", Dict{{Symbol("x"), false}}}},
	} {
		b, err := Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Parse(b); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%q gives %#v, %v; want %#v", b, got, err, v)
		}
	}
	// Keys are written in the order of how they are written.
	if b, err := Append(nil, Dict{{"b", true}, {"aa", true}, {"a", true}}); err != nil || string(b) != `{1"at1"bt2"aat}` {
		t.Errorf("%q %v", b, err)
	}
	if _, err := Append(nil, 1.5); !errors.Is(err, ErrSyntax) {
		t.Error(err)
	}
}

func TestWhatIsNoSyrupIsRefused(t *testing.T) {
	for _, s := range []string{
		"", "x", "]", "[}", "[", "<>", "{1\"a}", `{1"bt1"at}`, `{1"at1"at}`, "1", "1x", "01+", "0-", "9999999999999999999+", "5:abc", "tt",
		strings.Repeat("[", maxDepth+2), "99999999:", fmt.Sprint(maxBytes) + ":", "-1+",
	} {
		if v, err := Parse([]byte(s)); err == nil {
			t.Errorf("%q is taken for %#v", s, v)
		}
	}
	if _, err := Parse([]byte(strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth))); err != nil {
		t.Error(err)
	}
	body := strings.Repeat("x", maxBytes-len("65530:"))
	if _, err := Parse(fmt.Appendf(nil, "%d:%s", len(body), body)); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`<12'uds:register<10'ocapn-peer18'unix-domain-socket1"af>4:abcd>`))
	f.Add([]byte("{1\"a[1+2-tf]}"))
	f.Fuzz(func(t *testing.T, in []byte) {
		v, err := Parse(in)
		if err != nil {
			return
		}
		out, err := Append(nil, v)
		if err != nil || !bytes.Equal(in, out) {
			t.Fatalf("%q was read, and is written %q, %v", in, out, err)
		}
		locatorOf(v)
		keyOf(v)
		signatureOf(v)
	})
}

func TestG9LocatorsSurviveBeingWrittenAndRead(t *testing.T) {
	l := Locator{Designator: "aaaq", Transport: Transport}
	hinted := Locator{Designator: "aaaq", Transport: Transport, Hints: map[string]string{"key": "t", "a b": "1&2"}}
	for _, want := range []Sturdyref{{l, ""}, {hinted, ""}, {l, "swiss-1"}, {hinted, "swiss 2"}} {
		text := want.Locator.String()
		if want.Swiss != "" {
			text = want.String()
		}
		if got, err := ParseURI(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s gives %+v, %v", text, got, err)
		}
	}
	if l.String() != "ocapn://aaaq.unix-domain-socket" || !l.Same(hinted) || l.Same(Locator{Designator: "aaaq", Transport: "tcp"}) {
		t.Errorf("%s", l)
	}
	for _, bad := range []string{"", "ocapn:x", "ocapn://", "ocapn://a", "http://a.b", "ocapn://a.b/x", "ocapn://a.b/s/", "ocapn://a.b/s/x/y", "ocapn://u@a.b", "ocapn://a.b?x=1&x=2", "ocapn://a.b?%zz"} {
		if got, err := ParseURI(bad); err == nil {
			t.Errorf("%q is taken for %+v", bad, got)
		}
	}
}
