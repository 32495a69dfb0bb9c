package dbusapi

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/data"
	"davbus.org/davbus/engine"
)

// do carries out one command of somebody who is not on the bus.
func do(t *testing.T, c *Local, method, params string) (map[string]any, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	finish, known := c.Begin(ctx, method, json.RawMessage(params))
	if !known {
		t.Fatalf("there is no command %s", method)
	}
	out, err := finish()
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	return back, nil
}

func TestU13EveryMethodOfTheBusIsACommandWithItsText(t *testing.T) {
	b := open(t)
	specs, err := constants(data.Interfaces)
	if err != nil {
		t.Fatal(err)
	}
	for _, short := range commandInterfaces {
		if specs[BusName+"."+short] == nil {
			t.Errorf("%s has no interface file", short)
		}
		if !slices.ContainsFunc(b.face.Commands(), func(c *Command) bool { return strings.HasPrefix(c.Name, short+".") }) {
			t.Errorf("%s has no commands", short)
		}
	}
	for _, c := range b.face.Commands() {
		if len(c.Doc) < 10 {
			t.Errorf("%s has no text: %q", c.Name, c.Doc)
		}
	}
	sync := b.face.commands["Manager.Sync"]
	if len(sync.In) != 2 || sync.In[0].Name != "what" || sync.In[0].Type != "s" || sync.Out[0].Name != "job" || sync.Object {
		t.Errorf("%+v", sync)
	}
	for key, want := range map[string]string{"dry-run": "b", "mode": "s", "timeout-usec": "t"} {
		if sync.options[key] != want {
			t.Errorf("option %s is %q and should be %q", key, sync.options[key], want)
		}
	}
	if !b.face.commands["Job.Cancel"].Object {
		t.Error("Job.Cancel names no object")
	}
}

func TestCommandsDoWhatTheBusDoes(t *testing.T) {
	b := open(t)
	c := b.face.Join("shell", false)
	defer c.Leave()
	got, err := do(t, c, "Manager.Sync", `{"what":"home","dry-run":true,"timeout-usec":5000000,"if-running":"queue"}`)
	if err != nil || got["job"] == "" {
		t.Fatal(got, err)
	}
	r := b.host.last().(SyncRequest)
	if r.What != "home" || !r.DryRun || r.Timeout != 5*time.Second || r.Caller.Initiator != "shell" {
		t.Errorf("%+v", r)
	}
	got, err = do(t, c, "Group.ConfirmDeletions", `{"object":"home","proceed":true}`)
	if err != nil {
		t.Error(got, err)
	}
	got, err = do(t, c, "Properties.Get", `{"object":"work","interface":"Account","property":"DisplayName"}`)
	if err != nil || got["value"] != "work" {
		t.Error(got, err)
	}
	if _, err = do(t, c, "Properties.Set", `{"object":"work","interface":"Account","property":"Enabled","value":false}`); err != nil {
		t.Error(err)
	}
	if got := b.get(accountPath("work"), ifAccount, "Enabled"); got != false {
		t.Errorf("the bus says that it is %v", got)
	}
	if _, err = do(t, c, "Log.SetLevel", `{"level":"debug"}`); err != nil {
		t.Error(err)
	}
	if got := b.get(LogPath, ifLog, "LogLevel"); got != "debug" {
		t.Errorf("the log level is %v", got)
	}
	got, err = do(t, c, "Control.GetStatistics", `{}`)
	if err != nil || got["statistics"].(map[string]any)["signals-sent"] == nil {
		t.Error(got, err)
	}
}

func TestCommandsRefuseWhatIsWrongByTheNamesOfTheBus(t *testing.T) {
	b := open(t)
	c := b.face.Join("shell", false)
	defer c.Leave()
	const badArgs = "org.freedesktop.DBus.Error.InvalidArgs"
	b.host.failWith("Lookup", engine.KindCount)
	for _, x := range []struct{ method, params, want, says string }{
		{"Manager.Sync", `{}`, badArgs, `needs "what"`},
		{"Manager.Sync", `{"what":7}`, badArgs, "string"},
		{"Manager.Sync", `{"what":null}`, badArgs, "string"},
		{"Manager.Sync", `[]`, badArgs, "object"},
		{"Manager.Sync", `{"what":"home","dryrun":true}`, badArgs, "dryrun"},
		{"Manager.Sync", `{"what":"home","dry-run":1}`, badArgs, "true or false"},
		{"Manager.Lookup", `{"what":"home","more":1}`, badArgs, "more"},
		{"Group.Remove", `{}`, badArgs, "object"},
		{"Job.Wait", `{"object":"x"}`, badArgs, "number"},
		{"Job.Cancel", `{"object":4000}`, "org.freedesktop.DBus.Error.UnknownObject", ""},
		{"Account.SetSecret", `{"object":"work","name":"password","fd":1}`, "org.freedesktop.DBus.Error.NotSupported", "over the bus"},
		{"Job.OpenEvents", `{"object":42}`, "org.freedesktop.DBus.Error.NotSupported", "over the bus"},
	} {
		got, err := do(t, c, x.method, x.params)
		e, ok := errors.AsType[*CallError](err)
		if !ok || e.ErrorName() != x.want || !strings.Contains(e.Error(), x.says) {
			t.Errorf("%s %s: %v, %v", x.method, x.params, got, err)
		}
	}
}

func TestSandboxedCallerOfTheSocketMayOnlyReadAndSync(t *testing.T) {
	b := open(t)
	c := b.face.Join("org.example.App", true)
	defer c.Leave()
	if _, err := do(t, c, "Manager.Sync", `{"what":"home"}`); err != nil {
		t.Error(err)
	}
	_, err := do(t, c, "Control.Quit", `{}`)
	if e, ok := errors.AsType[*CallError](err); !ok || e.ErrorName() != "org.freedesktop.DBus.Error.AccessDenied" {
		t.Error(err)
	}
}

func TestLeavingTheSocketIsLeavingTheBus(t *testing.T) {
	b := open(t)
	c := b.face.Join("shell", false)
	if _, err := do(t, c, "Manager.Sync", `{"what":"home","bind-to-caller":true}`); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	finish, _ := c.Begin(t.Context(), "Job.Wait", json.RawMessage(`{"object":42}`))
	go func() { _, err := finish(); waiting <- err }()
	// The wait was begun before this is answered.
	do(t, c, "Manager.Lookup", `{"what":"home"}`)
	c.Leave()
	if err := <-waiting; err == nil {
		t.Error("it waited to the end")
	}
}

func TestSubscribersSeeEverySignalAndNoneOfOthers(t *testing.T) {
	b := open(t)
	c, other := b.face.Join("shell", false), b.face.Join("other", false)
	defer c.Leave()
	defer other.Leave()
	events := make(chan Event, 1000)
	objects, stop, err := c.Subscribe(func(e Event) { events <- e })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if !slices.ContainsFunc(objects, func(o ObjectState) bool { return o.Path == string(Root) }) || len(objects) < 8 {
		t.Errorf("%d objects", len(objects))
	}
	if _, err := do(t, other, "Job.Watch", `{"object":42}`); err != nil {
		t.Fatal(err)
	}
	got, err := do(t, other, "Manager.Sync", `{"what":"home","if-running":"queue"}`)
	if err != nil {
		t.Fatal(err)
	}
	for {
		e := <-events
		if e.Signal == ifJob+".Items" {
			t.Errorf("what goes to one alone came to another: %+v", e)
		}
		if e.Signal == ifManager+".JobNew" {
			if e.Args[1] != got["job"] && any(e.Args[1]) == nil {
				t.Errorf("%+v, not %v", e, got)
			}
			return
		}
	}
}

func FuzzParamsOfACommand(f *testing.F) {
	for _, s := range []string{`{"what":"home"}`, `{"options":{"a":[1,2]}}`, `{"object":1}`, `null`, `{"set":{"x":{"type":"ay","data":{"base64":"AA=="}}}}`} {
		f.Add(s)
	}
	all, err := readCommands()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		in := map[string]json.RawMessage{}
		if json.Unmarshal([]byte(raw), &in) != nil {
			return
		}
		for _, c := range all {
			if args, err := arguments(c, in); err == nil && len(args) != len(c.In) {
				t.Errorf("%s: %d arguments for %d", c.Name, len(args), len(c.In))
			}
		}
	})
}
