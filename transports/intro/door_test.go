package intro

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/transports/peer"
	"davbus.org/davbus/transports/private"
)

func TestG1G3TwoProgramsWithoutABusMeetAndTalk(t *testing.T) {
	path, stop := serveDoor(t, &Door{})
	viewer, editor := dial(t, path), dial(t, path)
	arrived := make(chan *Arrival, 1)
	designator, err := viewer.Register(t.Context(), Name{Name: "viewer", Public: true}, func(a *Arrival) error { arrived <- a; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if names, err := editor.Names(t.Context()); err != nil || !slices.Equal(names, []string{"viewer"}) {
		t.Errorf("names %q %v", names, err)
	}
	for _, to := range []string{"viewer", designator} {
		conn, err := editor.Introduce(t.Context(), to, map[string]any{"wants": "updates"}, false)
		if err != nil {
			t.Fatal(err)
		}
		a := <-arrived
		if a.Name != to || string(a.Metadata) != `{"wants":"updates"}` || a.Sender.PID != uint32(os.Getpid()) || a.Conn.Cred.PID != os.Getpid() || conn.Cred.UID != uint32(os.Geteuid()) {
			t.Errorf("arrived %+v, held by %+v", a, a.Conn.Cred)
		}
		if to == designator {
			stop() // G10: whom it brought together it does not part
		}
		io.WriteString(conn, "hello")
		conn.CloseWrite()
		if got, err := io.ReadAll(a.Conn); err != nil || string(got) != "hello" {
			t.Errorf("%q %v", got, err)
		}
		a.Conn.Close()
		conn.Close()
	}
}

func TestG7G4RefusalsAndFaultsAreNamedErrors(t *testing.T) {
	path, _ := serveDoor(t, &Door{})
	c := dial(t, path)
	if _, err := c.Register(t.Context(), Name{Name: "shy", Public: true}, func(*Arrival) error { return errors.New("not today") }); err != nil {
		t.Fatal(err)
	}
	ask := func(to string, metadata any) error {
		conn, err := c.Introduce(t.Context(), to, metadata, false)
		if err == nil {
			conn.Close()
		}
		return err
	}
	err := ask("shy", nil)
	if wants(t, err, PeerRefused); err == nil || !strings.Contains(err.Error(), "not today") {
		t.Error(err)
	}
	wants(t, ask("nobody", nil), NotFound)
	wants(t, ask("shy", strings.Repeat("x", maxMetadata)), Invalid)
	_, err = c.Register(t.Context(), Name{Name: "SHY"}, nil)
	wants(t, err, Invalid)
	wants(t, c.Unregister(t.Context(), "other"), NotFound)
	if err := c.Unregister(t.Context(), "shy"); err != nil {
		t.Error(err)
	}
	wants(t, ask("shy", nil), NotFound)
}

func TestG5ProgramsMayComeInAnyOrder(t *testing.T) {
	d := &Door{}
	path, _ := serveDoor(t, d)
	first, second := dial(t, path), dial(t, path)
	done := make(chan error, 1)
	go func() {
		conn, err := first.Introduce(t.Context(), "late", nil, true)
		if err == nil {
			conn.Close()
		}
		done <- err
	}()
	eventually(t, "it waits", func() bool { return d.Broker.Pending() == 1 })
	if _, err := second.Register(t.Context(), Name{Name: "late", Public: true}, func(a *Arrival) error { return a.Conn.Close() }); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// G6, G11: a program at several doors is told which one closed, the others go on;
// G8: leaving takes along what was registered and what waits.
func TestG6G11G8DoorsCloseOneByOneAndClientsLeave(t *testing.T) {
	one, stop := serveDoor(t, &Door{})
	other := &Door{}
	two, _ := serveDoor(t, other)
	a, b := dial(t, one), dial(t, two)
	for _, c := range []*Client{a, b} {
		if _, err := c.Register(t.Context(), Name{Name: "me", Public: true}, func(a *Arrival) error { return a.Conn.Close() }); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	<-a.Done()
	if a.Err() == nil || b.Err() != nil {
		t.Errorf("closed: %v, %v", a.Err(), b.Err())
	}
	if _, err := a.Introduce(t.Context(), "me", nil, false); err == nil {
		t.Error("a closed door introduces")
	}
	conn, err := b.Introduce(t.Context(), "me", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	b.Close()
	eventually(t, "nothing is left of who left", func() bool { return len(other.Broker.Names()) == 0 && other.Broker.Pending() == 0 })
}

func TestSandboxedProgramsComeOnlyToWhoTakesThem(t *testing.T) {
	app := "org.example.Box"
	d := &Door{Who: func(int) (string, bool) { return app, true }}
	path, _ := serveDoor(t, d)
	c := dial(t, path)
	_, err := c.Register(t.Context(), Name{Name: "x"}, nil)
	wants(t, err, Denied)
	_, open := keep(t, d.Broker, "bus", Name{Name: "open", Public: true})
	_, chosen := keep(t, d.Broker, "bus", Name{Name: "chosen", Public: true, AcceptFrom: []string{app}})
	_, err = c.Introduce(t.Context(), "open", nil, false)
	wants(t, err, Denied)
	go func() {
		in := <-chosen
		if sock, err := Socket(in.Socket); err == nil {
			Meet(sock)
			sock.Close()
		}
	}()
	conn, err := c.Introduce(t.Context(), "chosen", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if len(open) > 0 {
		t.Error("it came to somebody who takes nobody from a sandbox")
	}
}

// Lines that make no sense, descriptors where none belong, too many of them and
// too few end that client's connection and no other's, and none stays open.
func TestG8ClientsThatBreakTheProtocolAreSentAway(t *testing.T) {
	ended := make(chan error, 100)
	path, _ := serveDoor(t, &Door{Ended: func(_ peer.Cred, err error) { ended <- err }})
	good := dial(t, path)
	if _, err := good.Names(t.Context()); err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	before := openFiles(t)
	for name, x := range map[string]struct {
		line  string
		files int
	}{
		"no JSON":             {"hello\n", 0},
		"too long":            {strings.Repeat("x", 2<<20), 0},
		"too few descriptors": {`{"jsonrpc":"2.0","id":1,"method":"introduce","params":{},"descriptors":2}` + "\n", 1},
		"negative":            {`{"jsonrpc":"2.0","id":1,"method":"introduce","params":{},"descriptors":-1}` + "\n", 1},
		"with an answer":      {`{"jsonrpc":"2.0","id":1,"result":{},"descriptors":1}` + "\n", 1},
		"with a notification": {`{"jsonrpc":"2.0","method":"x","descriptors":1}` + "\n", 1},
		"too many":            {"x", 17},
	} {
		sock, err := private.Dial(path)
		if err != nil {
			t.Fatal(err)
		}
		c := private.NewFileConn(sock)
		files := make([]*os.File, x.files)
		for i := range files {
			files[i] = null
		}
		if x.files > 0 {
			c.WriteFiles([]byte(x.line), files)
		} else {
			io.WriteString(c, x.line)
		}
		if err := <-ended; err == nil {
			t.Errorf("%s: no reason", name)
		}
		sock.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.Copy(io.Discard, sock); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection stands", name)
		}
		sock.Close()
	}
	eventually(t, "all descriptors are closed", func() bool { return openFiles(t) == before })
	if _, err := good.Names(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestG8DescriptorsWithAMethodThatTakesNoneAreClosed(t *testing.T) {
	path, _ := serveDoor(t, &Door{})
	c := dial(t, path)
	if _, err := c.Names(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	for _, method := range []string{"names", "register", "nonsense", "introduce"} {
		mine, theirs := pair(t)
		c.peer.CallFiles(t.Context(), method, map[string]any{"name": "nobody"}, nil, theirs)
		if !closed(mine) {
			t.Errorf("%s kept the descriptor", method)
		}
		mine.Close()
	}
	eventually(t, "all descriptors are closed", func() bool { return openFiles(t) == before })
}

// An introduced end that nobody greets is refused within seconds, and what it
// was introduced to goes on.
func TestG3ASocketWhoseHolderShowsNothingIsRefused(t *testing.T) {
	path, _ := serveDoor(t, &Door{})
	c := dial(t, path)
	if _, err := c.Register(t.Context(), Name{Name: "x", Public: true}, func(*Arrival) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for name, first := range map[string]string{"another byte": "x", "the end": ""} {
		mine, theirs := pair(t)
		io.WriteString(mine, first)
		mine.CloseWrite()
		err := converted(c.peer.CallFiles(t.Context(), "introduce", introduce{Name: "x"}, nil, theirs))
		wants(t, err, PeerRefused)
		if err == nil || !strings.Contains(err.Error(), "did not show who it is") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
