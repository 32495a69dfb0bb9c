//go:build real

package service

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/transports/control"
)

// tool runs a program of others, with its input and a time limit.
func tool(t *testing.T, in string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(in)
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out.String(), bad.String())
	}
	return out.String()
}

func TestRealU6U7U9ControlSocketByShellTools(t *testing.T) {
	d := home(t)
	d.start()
	path := filepath.Join(d.Runtime, "davbus", "control")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	lines := `{"jsonrpc":"2.0","id":1,"method":"Manager.AddAccount","params":{"id":"here","kind":"vdir","parameters":{"path":"` + d.Dir + `/cal","kind":"calendar"}}}
{"jsonrpc":"2.0","id":2,"method":"Shell.List","params":{"kind":"accounts"}}
{"jsonrpc":"2.0","id":3,"method":"Log.SetLevel","params":{"level":"info"}}
{"jsonrpc":"2.0","id":4,"method":"Control.Reload"}
`
	got := tool(t, lines, "socat", "-t5", "-", "UNIX-CONNECT:"+path)
	for _, want := range []string{`"account":"/org/davbus/Sync1/account/here"`, `"ids":["here"]`, `"id":3,"result":{}`, `"id":4,"result":{"changed":[]}`} {
		if !strings.Contains(got, want) {
			t.Errorf("socat got %s\nnot %s", got, want)
		}
	}
	for _, by := range []string{"nc", "socat"} {
		t.Setenv("CTL", by)
		for _, x := range [][3]string{
			{"Manager.Lookup", `{"what":"here"}`, "account/here"},
			{"Manager.Nonsense", "{}", "UnknownMethod"},
			{"Manager.Pause", `{"seconds":3600}`, `"result":{}`},
			{"Properties.Get", `{"interface":"Manager","property":"State"}`, `"value":"paused"`},
			{"Manager.Resume", "{}", `"result":{}`},
			{"Properties.Get", `{"interface":"Manager","property":"State"}`, `"value":"idle"`},
			{"Control.GetStatistics", "{}", `"goroutines":`},
			{"Log.SetLevel", `{"level":"debug"}`, `"result":{}`},
			{"Log.SetLevel", `{"level":"loud"}`, `"error"`},
			{"commands", "{}", `"name":"Collection.Import","object":true`},
		} {
			if got := tool(t, "", "sh", examples+"ctl.sh", x[0], x[1]); !strings.Contains(got, x[2]) || strings.Count(got, "\n") != 1 {
				t.Errorf("%s: %s: %s\nnot %s", by, x[0], got, x[2])
			}
		}
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket is still there")
	}
}

func TestRealU8SubscriberSeesAccountsComeAndGo(t *testing.T) {
	d := home(t)
	d.start()
	c, err := control.Dial(filepath.Join(d.Runtime, "davbus", "control"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	updates := make(chan control.Update, 1000)
	d.must(c.Subscribe(t.Context(), func(u control.Update) { updates <- u }))
	d.must(c.Call(t.Context(), "Manager.AddAccount", map[string]any{
		"id": "here", "kind": "vdir", "parameters": map[string]any{"path": d.Dir + "/cal", "kind": "calendar"},
	}, nil))
	for {
		select {
		case u := <-updates:
			if u.Event != nil && strings.Contains(string(u.Event.Data), "InterfacesAdded") && strings.Contains(string(u.Event.Data), "account/here") {
				return
			}
		case <-time.After(patience):
			t.Fatal("nobody told of the account")
		}
	}
}

func TestRealControlSocketPathIsOnTheBusAndListsCommands(t *testing.T) {
	d := home(t)
	d.start()
	path := filepath.Join(d.Runtime, "davbus", "control")
	c, err := control.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var got struct{ Value string }
	d.must(c.Call(t.Context(), "Properties.Get", map[string]any{"interface": "Control", "property": "SocketPath"}, &got))
	if got.Value != path {
		t.Errorf("the path is said to be %q", got.Value)
	}
	var list struct{ Commands []json.RawMessage }
	d.must(c.Call(t.Context(), "commands", nil, &list))
	if len(list.Commands) < 60 {
		t.Errorf("%d commands", len(list.Commands))
	}
}
