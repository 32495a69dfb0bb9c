package dbusapi

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/engine"
)

func TestPathsOfIdsAreReadableAndReversible(t *testing.T) {
	for id, want := range map[string]string{"work": "work", "my.cal-1": "my_2ecal_2d1", "": "_", "é": "_c3_a9", "_": "_5f", "a/b": "a_2fb"} {
		if got := escape(id); got != want {
			t.Errorf("escape(%q) = %q, want %q", id, got, want)
		}
	}
	for _, bad := range []string{"", "a-b", "_2", "_zz", "_2E", "_41", "a_"} {
		if s, ok := unescape(bad); ok {
			t.Errorf("unescape(%q) = %q, want a refusal", bad, s)
		}
	}
	if got := collectionPath("work/a/b"); got != "/org/davbus/Sync1/account/work/a_2fb" {
		t.Errorf("the path of work/a/b is %s", got)
	}
}

// randomText is made of bytes that are prone to trouble.
func randomText(r *rand.Rand) string {
	parts := []string{"%", "%E9", "%25", "%2", "%e9", "%00", "\xe9", "\x00", "é", "a", "\xff", "5", "E", "\U0010FFFF", "\xed\xa0\x80", "/", "_"}
	var b strings.Builder
	for range r.IntN(8) {
		b.WriteString(parts[r.IntN(len(parts))])
	}
	return b.String()
}

func TestNamesOfAnyBytesAreFitForTheBusAndComeBack(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 1))
	seen := map[string]string{}
	for range 200000 {
		s := randomText(r)
		out := name(s)
		if !utf8.ValidString(out) || strings.Contains(out, "\x00") {
			t.Fatalf("seed %d: name(%q) = %q is not fit", seed, s, out)
		}
		if back := unname(out); back != s {
			t.Fatalf("seed %d: %q comes back from %q as %q", seed, s, out, back)
		}
		if old, ok := seen[out]; ok && old != s {
			t.Fatalf("seed %d: %q and %q are both %q", seed, old, s, out)
		}
		seen[out] = s
		if back, ok := unescape(escape(s)); !ok || back != s {
			t.Fatalf("seed %d: escape(%q) comes back as %q", seed, s, back)
		}
	}
	for in, want := range map[string]string{"a%20b.ics": "a%20b.ics", "100%": "100%", "caf\xe9": "caf%E9", "caf%E9": "caf%25E9", "é": "é"} {
		if got := name(in); got != want {
			t.Errorf("name(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestErrorsKeepTheirKindAndTheirWords(t *testing.T) {
	long := strings.Repeat("x", 10000)
	for _, x := range []struct {
		err        error
		name, text string
	}{
		{engine.Fail(engine.Changed, "replace", "work/a.ics", ""), ours + "PreconditionFailed", "cannot replace work/a.ics: changed meanwhile"},
		{fmt.Errorf("outer: %w", engine.Fail(engine.Timeout, "list", "", "")), ours + "Timeout", "outer: cannot list: timed out"},
		{errors.New("odd"), ours + "Internal", "odd"},
		{context.Canceled, ours + "Cancelled", "context canceled"},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), ours + "Timeout", "x: context deadline exceeded"},
		{engine.Fail(engine.ServerError, "get", "", "%w", context.Canceled), ours + "ServerError", "cannot get: server error: context canceled"},
		{dbus.NewError("a.B", []any{"c"}), "a.B", "c"},
		{dbus.Error{Name: "a.C", Body: []any{"d"}}, "a.C", "d"},
		{engine.Fail(engine.NotFound, "find", "caf\xe9\x00", ""), ours + "NotFound", "cannot find caf\uFFFD\uFFFD: not found"},
		{errors.New(long), ours + "Internal", long[:maxMessage] + "…"},
	} {
		got := ErrorReply(x.err)
		if got.Name != x.name || got.Body[0] != x.text {
			t.Errorf("%v becomes %s: %v", x.err, got.Name, got.Body)
		}
	}
}

func TestOptionsSayWhatIsWrongWithThem(t *testing.T) {
	for _, x := range []struct {
		in   dict
		want string
	}{
		{opts("dryrun", true), `cannot sync: invalid: option "dryrun" is not known; there are "dry-run" b, "mode" s, "name" s`},
		{opts("dry-run", "yes"), `cannot sync: invalid: option "dry-run" must be of type b, not s`},
		{opts("mode", uint32(1)), `cannot sync: invalid: option "mode" must be of type s, not u`},
		{opts("name", "a\x1b[31m"), `cannot sync: invalid: option "name" must not hold control characters, as "a\x1b[31m" does`},
		{opts("mode", "several\nlines", "name", "one line: \u00fc"), ""},
		{opts("x-theirs", "1", "dry-run", true), ""},
	} {
		o := readOptions("sync", x.in)
		o.bool("dry-run", false)
		o.string("mode", "")
		o.line("name", "")
		got := ""
		if err := o.end(); err != nil {
			got = err.Error()
		}
		if got != x.want {
			t.Errorf("%v: %q, want %q", x.in, got, x.want)
		}
	}
	if got := fmt.Sprint(noOptions("quit", opts("now", true))); !strings.HasSuffix(got, "there are none") {
		t.Error(got)
	}
}

func TestTimesAreMicrosecondsAndZeroIsNever(t *testing.T) {
	for in, want := range map[time.Time]uint64{{}: 0, time.Unix(-5, 0): 0, time.UnixMicro(7): 7, time.Unix(2, 3000): 2000003} {
		if got := usec(in); got != want {
			t.Errorf("usec(%v) = %d, want %d", in, got, want)
		}
	}
	if got := managerProps(engine.ManagerState{State: "paused"})["PausedUntilUSec"]; got != ^uint64(0) {
		t.Errorf("a pause without end is until %v", got)
	}
	if got := managerProps(engine.ManagerState{State: "paused", PausedUntil: time.UnixMicro(9)})["PausedUntilUSec"]; got != uint64(9) {
		t.Errorf("a pause until 9 is until %v", got)
	}
}

func TestAJobIsNamedByPathOrNumber(t *testing.T) {
	for in, want := range map[string]engine.JobID{"42": 42, string(Root) + "/job/42": 42, "0": 0, "": 0, "-1": 0, "4294967296": 0, "home": 0, "4294967295": 4294967295} {
		got, ok := jobNamed(in)
		if ok != (want != 0) || ok && got != want {
			t.Errorf("jobNamed(%q) = %d, %v", in, got, ok)
		}
	}
}
