package dbusapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/transports/intro"
)

func TestASecretIsReadToItsEndAndBounded(t *testing.T) {
	long := strings.Repeat("p", maxSecret)
	for _, x := range []struct {
		in, want string
		kind     engine.Kind
	}{
		{"geheim\n", "geheim", engine.KindCount},
		{"geheim", "geheim", engine.KindCount},
		{"two\nlines\n\n", "two\nlines\n", engine.KindCount},
		{"", "", engine.KindCount},
		{long, long, engine.KindCount},
		{long + "\n", long, engine.KindCount},
		{long + "p", "", engine.TooLarge},
		{long + "p\n", "", engine.TooLarge},
		{long + "pp\n", "", engine.TooLarge},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		go func() { io.WriteString(w, x.in); w.Close() }()
		got, err := readSecret(t.Context(), r, time.Minute)
		r.Close()
		if x.kind == engine.KindCount && (err != nil || string(got) != x.want) || x.kind != engine.KindCount && !engine.IsKind(err, x.kind) {
			t.Errorf("%d bytes: got %d bytes, %v", len(x.in), len(got), err)
		}
	}
}

func TestASecretThatNeverEndsAndWhatIsNoPipeAreRefused(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	io.WriteString(w, "topsecret")
	_, err = readSecret(t.Context(), r, 20*time.Millisecond)
	if !engine.IsKind(err, engine.Timeout) || strings.Contains(err.Error(), "topsecret") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("davbusd stops"))
	if _, err = readSecret(ctx, r, time.Minute); !engine.IsKind(err, engine.Cancelled) {
		t.Error(err)
	}
	for _, path := range []string{os.DevNull, t.TempDir()} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readSecret(t.Context(), f, time.Minute); !engine.IsKind(err, engine.Invalid) {
			t.Errorf("%s: %v", path, err)
		}
		f.Close()
	}
}

func TestASecretReachesTheHostAndNothingElse(t *testing.T) {
	b := open(t)
	b.must(Root+"/account/work", ifAccount+".SetSecret", "password", secretFile(t), none)
	b.host.mu.Lock()
	defer b.host.mu.Unlock()
	if got := fmt.Sprint(b.host.calls[len(b.host.calls)-3:]); got != "[password geheim keyring]" {
		t.Errorf("the host got %s", got)
	}
}

func TestVersionsThatTheBusCannotCarryAreReadFromADescriptor(t *testing.T) {
	b := open(t)
	path := Root + "/conflict/c1"
	body := b.must(path, ifConflict+".GetVersions", none)
	if got := body[0].(map[string]string); got["work/cal"] != "A" || got["local/cal"] != "" || len(got) != 2 {
		t.Errorf("versions are %q", got)
	}
	if d := body[1].(map[string]dbus.Variant); d["base"].Value() != "B" || d["revision"].Value() != "r1" || len(d) != 4 {
		t.Errorf("details are %v", d)
	}
	set := func(text string) {
		b.host.mu.Lock()
		defer b.host.mu.Unlock()
		b.host.texts.Members = map[engine.MemberID][]byte{"work/cal": []byte(text)}
	}
	set(strings.Repeat("x", maxVersions-1))
	b.must(path, ifConflict+".GetVersions", none)
	set(strings.Repeat("x", maxVersions))
	b.fails(ours+"TooLarge", path, ifConflict+".GetVersions", none)
	set("caf\xe9")
	b.fails(ours+"InvalidItem", path, ifConflict+".GetVersions", none)
	got, err := io.ReadAll(fdOf(t, b.must(path, ifConflict+".OpenVersion", "work/cal", none)))
	if err != nil || string(got) != "caf\xe9" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestEventsAreToldFromTheStartToTheEnd(t *testing.T) {
	b := open(t)
	b.host.publish(engine.JobItems{Job: 42, Items: []engine.ItemStep{{Action: "add", Member: "work/cal", Item: "caf\xe9"}}})
	b.face.settle()
	early := bufio.NewScanner(fdOf(t, b.must(Root+"/job/42", ifJob+".OpenEvents", none)))
	bare := fdOf(t, b.must(Root+"/job/42", ifJob+".OpenEvents", opts("replay", false)))
	b.host.publish(progressOf(42, 500), engine.JobItems{Job: 42, Items: steps(1)})
	b.host.end(42, engine.Partial, engine.Failure{Kind: engine.ReadOnly, Message: "no", Set: true})
	b.face.settle()
	late := bufio.NewScanner(fdOf(t, b.must(Root+"/job/42", ifJob+".OpenEvents", none)))
	read := func(s *bufio.Scanner) (out []string) {
		for s.Scan() {
			var l line
			if err := json.Unmarshal(s.Bytes(), &l); err != nil {
				t.Fatal(err)
			}
			out = append(out, strings.TrimSpace(fmt.Sprint(l.Event, " ", l.State, l.Item, l.Result)))
		}
		return out
	}
	for _, x := range []struct {
		who  string
		got  []string
		want string
	}{
		{"who came early", read(early), "state running|item caf%E9|progress|item 0|state done|done partial"},
		{"who wants no replay", read(bufio.NewScanner(bare)), "progress|item 0|state done|done partial"},
		{"who comes late", read(late), "state done|item caf%E9|item 0|done partial"},
	} {
		if got := strings.Join(x.got, "|"); got != x.want {
			t.Errorf("%s is told %s, want %s", x.who, got, x.want)
		}
	}
}

func TestASlowReaderOfEventsLosesLinesAndIsTold(t *testing.T) {
	b := open(t)
	f := fdOf(t, b.must(Root+"/job/42", ifJob+".OpenEvents", opts("replay", false)))
	const n = 40000 // more than the socket and the queue hold
	for range n / 100 {
		b.host.publish(engine.JobItems{Job: 42, Items: steps(100)})
	}
	b.host.end(42, engine.Success, engine.Failure{})
	b.face.settle() // nobody waited for the reader
	var got, lost uint32
	last := ""
	for s := bufio.NewScanner(f); s.Scan(); {
		var l line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		switch last = l.Event; l.Event {
		case "lost":
			lost += l.Count
		case "item":
			got++
		case "state":
			got++ // it counts as one line, too
		}
	}
	if lost == 0 || got+lost != n+1 || last != "done" {
		t.Errorf("%d lines came and %d were lost of %d; the last was %q", got, lost, n+1, last)
	}
}

// secretFile is a file that may be sent as often as one likes.
func secretFile(t *testing.T) dbus.UnixFD {
	t.Helper()
	f, err := fileOf([]byte("geheim\n"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return dbus.UnixFD(f.Fd())
}

// socketFile is one end of a pair of sockets.
func socketFile(t *testing.T) dbus.UnixFD {
	t.Helper()
	mine, theirs, err := intro.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mine.Close(); theirs.Close() })
	return dbus.UnixFD(theirs.Fd())
}

func closeFiles(body []any) {
	for _, v := range body {
		if fd, ok := v.(dbus.UnixFD); ok {
			os.NewFile(uintptr(fd), "got").Close()
		}
	}
}

func TestAMergedItemMayComeByDescriptor(t *testing.T) {
	b := open(t)
	path := Root + "/conflict/c1"
	send := func(text string) dbus.UnixFD {
		f, err := fileOf([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return dbus.UnixFD(f.Fd())
	}
	b.must(path, ifConflict+".Resolve", "merged", opts("data-fd", send("caf\xe9\n")))
	if r := b.host.last().(engine.Resolution); string(r.Data) != "caf\xe9\n" {
		t.Errorf("the host gets %q", r.Data)
	}
	b.must(path, ifConflict+".Resolve", "merged", opts("data-fd", send(strings.Repeat("x", maxItem))))
	b.fails(ours+"TooLarge", path, ifConflict+".Resolve", "merged", opts("data-fd", send(strings.Repeat("x", maxItem+1))))
	b.fails(invalidArgs, path, ifConflict+".Resolve", "both", opts("data-fd", send("x")))
	b.fails(invalidArgs, path, ifConflict+".Resolve", "merged", opts("data-fd", send("x"), "data", "x"))
	b.fails(invalidArgs, path, ifConflict+".Resolve", "merged", opts("data-fd", "x"))
	// No other method takes one.
	b.fails(invalidArgs, path, ifConflict+".GetVersions", opts("x-fd", send("x")))
}

func TestAJobThatStillRunsAndItsReadersHoldUpNoEnd(t *testing.T) {
	b := open(t)
	fdOf(t, b.must(Root+"/job/42", ifJob+".OpenEvents", none))
	ended := make(chan error, 1)
	go func() { ended <- b.stop() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end while a reader of events is there")
	}
}
