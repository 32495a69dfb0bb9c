//go:build real

package service

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
	"davbus.org/davbus/transports/control"
)

// noSecret fails if a secret is in a text, as it is or as a header of HTTP has it.
func (d *rig) noSecret(where, text string, secrets ...string) {
	d.Helper()
	for _, secret := range append(secrets, lab.AlicePassword, "YWxpY2U6") { // "alice:" in Base64
		if i := strings.Index(text, secret); i >= 0 {
			d.Errorf("%s shows %q: …%s…", where, secret, text[max(0, i-60):min(len(text), i+60)])
		}
	}
}

// Everything that crosses the control socket and three kinds of stream is written
// down while an account is used whose password is right, then wrong. A secret is
// handed over by none of them: SetSecret needs a descriptor, and thus the bus.
func TestARecordingOfPrivateSocketsHoldsNoSecret(t *testing.T) {
	d, _, _ := inStep(t)
	at, told := lab.Tap(t, filepath.Join(d.Runtime, "davbus", "control"))
	c, err := control.Dial(at)
	d.must(err)
	defer c.Close()
	d.must(c.Subscribe(t.Context(), func(control.Update) {}))
	b := &asker{d, c}

	crossed := map[string]func() string{"control": told}
	tap := func(what, path string) string {
		at, crossed[what] = lab.Tap(t, path)
		return at
	}
	tool(t, "", "socat", "-u", "UNIX-CONNECT:"+tap("export", b.ask("Shell.Export", map[string]any{"what": "work/work"})["address"].(string)), "-")
	for what, path := range map[string]string{
		"serve": b.ask("Shell.Serve", map[string]any{"what": "work/work"})["address"].(string),
		"proxy": b.ask("Shell.Proxy", map[string]any{"account": "work"})["address"].(string),
	} {
		at := map[string]string{"serve": "user/calendars/work/", "proxy": "alice/work/"}[what]
		tool(t, "", "curl", "-sSf", "--unix-socket", tap(what, path), "-X", "PROPFIND", "-H", "Depth: 1", "http://localhost/"+at)
	}

	d.write("pw", "planted-wrong\n")
	d.must(d.stop())
	d.start()
	c2at, again := lab.Tap(t, filepath.Join(d.Runtime, "davbus", "control"))
	crossed["control again"] = again
	c2, err := control.Dial(c2at)
	d.must(err)
	defer c2.Close()
	b = &asker{d, c2}
	b.done("Account.Check", map[string]any{"object": "work"})
	for _, call := range [][2]string{{"Properties.GetAll", `{"object":"work","interface":"Account"}`}, {"Shell.Status", `{"what":"work"}`}, {"Control.GetStatistics", `{}`}} {
		var params map[string]any
		d.must(json.Unmarshal([]byte(call[1]), &params))
		b.ask(call[0], params)
	}
	for what, want := range map[string]string{"control": "account/work", "export": "In march", "serve": "march", "proxy": "march.ics", "control again": "auth"} {
		text := crossed[what]()
		if !strings.Contains(text, want) {
			t.Errorf("%s: the recording lacks %q:\n%s", what, want, text)
		}
		d.noSecret(what, text, "planted-wrong")
	}
	d.noSecret("the log", d.log.String(), "planted-wrong")
}

// A plugin is given a secret when it asks for it, by the line that answers it and
// nowhere else: not at its start, and nothing of it is told to others or logged.
func TestAPluginGetsASecretByItsOwnWireAlone(t *testing.T) {
	d := home(t)
	const secret = "planted-for-a-plugin"
	wire := filepath.Join(d.Dir, "wire")
	d.write("plugin", `#!/bin/sh
env >>"$0.env"; echo "$@" >>"$0.env"
while read -r line; do
	printf '%s\n' "$line" >>"`+wire+`"
	id=$(printf %s "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
	case $line in
	*'"method":"initialize"'*)
		echo '{"jsonrpc":"2.0","id":'$id',"result":{"protocol":1,"name":"asks","features":[]}}'
		echo '{"jsonrpc":"2.0","id":77,"method":"get_secret","params":{"name":"password"}}' ;;
	*'"method"'*) [ -z "$id" ] || echo '{"jsonrpc":"2.0","id":'$id',"result":{"collections":[{"id":"c","kind":"calendar"}]}}' ;;
	esac
done
`)
	program := filepath.Join(d.Dir, "plugin")
	d.must(os.Chmod(program, 0o700))
	folder := filepath.Join(d.Share, "davbus", "plugins")
	d.must(os.MkdirAll(folder, 0o700))
	d.must(os.WriteFile(filepath.Join(folder, "asks.yaml"), []byte("name: asks\ncommand: ["+program+"]\nparameters:\n  - {name: password, signature: s, secret: true}\n"), 0o600))
	d.start()
	at, told := lab.Tap(t, filepath.Join(d.Runtime, "davbus", "control"))
	c, err := control.Dial(at)
	d.must(err)
	defer c.Close()
	d.must(c.Subscribe(t.Context(), func(control.Update) {}))
	a := &asker{d, c}
	d.account("asks", "plugin:asks")
	d.must(d.c.SetSecret(t.Context(), "asks", "password", []byte(secret), client.Options{"store": "session"}))
	a.done("Account.Discover", map[string]any{"object": "asks"})
	if !lab.Within(patience, func() bool { return strings.Contains(d.read("wire"), secret) }) {
		t.Fatalf("it was not given what it asked for:\n%s", d.read("wire"))
	}
	for line := range strings.Lines(d.read("wire")) {
		if strings.Contains(line, secret) && !strings.Contains(line, `"id":77,"result"`) {
			t.Errorf("no answer to its question: %s", line)
		}
	}
	d.noSecret("its environment", d.read("plugin.env"), secret)
	d.noSecret("control", told(), secret)
	d.noSecret("the log", d.log.String(), secret)
}
