//go:build real && further

package blackbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/service/lab"
	"davbus.org/davbus/transports/control"
)

// A visitor works the davbus of a far house from a near one, which has a bus and
// no daemon.
type visitor struct {
	*house
	env []string
}

func visit(t *testing.T, far *house) *visitor {
	t.Helper()
	path := bin + ":" + os.Getenv("PATH")
	config, login := lab.SSH(t, "far.example.org", "PATH="+path, "DBUS_SESSION_BUS_ADDRESS="+far.bus.Address, "XDG_RUNTIME_DIR="+far.Runtime, "HOME="+far.Dir)
	return &visitor{newHouse(t, "near"), []string{"DAVBUS_SSH=ssh -F " + config, "FAR=" + login + "@far.example.org"}}
}

func (v *visitor) far() string { return strings.TrimPrefix(v.env[1], "FAR=") }

// run runs davbus --host with some input.
func (v *visitor) run(in string, args ...string) (out, errs string, err error) {
	v.Helper()
	ctx, cancel := context.WithTimeout(v.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "davbus"), append([]string{"--host", v.far()}, args...)...)
	var o, e bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = append(v.house.env(), v.env...), strings.NewReader(in), &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// must is run that has to succeed.
func (v *visitor) must(in string, args ...string) string {
	v.Helper()
	out, errs, err := v.run(in, args...)
	if err != nil {
		v.Fatalf("davbus --host %q: %v\n%s%s", args, err, out, errs)
	}
	return out
}

const event = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VEVENT\r\nUID:one\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260101T100000Z\r\nSUMMARY:One\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

// web asks a socket by HTTP.
func (v *visitor) web(socket, method, path, body string) string {
	v.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(v.Context(), method, "http://localhost"+path, strings.NewReader(body))
	v.house.must(err)
	resp, err := (&http.Client{Transport: tr}).Do(req)
	v.house.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	v.house.must(err)
	return resp.Status + "\n" + string(text)
}

// addressOf is where a stream listens on its own machine.
func (v *visitor) addressOf(far *house, stream string) string {
	v.Helper()
	cmd := exec.CommandContext(v.Context(), "busctl", "--address="+far.bus.Address, "get-property", "org.davbus.Sync1", stream, "org.davbus.Sync1.Stream", "Address")
	out, err := cmd.Output()
	v.house.must(err)
	return strings.Trim(strings.TrimPrefix(string(out), "s "), "\"\n")
}

func TestFurtherT19TheDavbusOfAnotherMachine(t *testing.T) {
	far := newHouse(t, "far")
	far.file("cal/work/one.ics", event)
	far.start()
	v := visit(t, far)

	v.must("", "account", "add", "here", "vdir", "path="+filepath.Join(far.Dir, "cal"), "kind=calendar")
	if _, _, code := v.davbus("status"); code == 0 {
		t.Error("the near house has a daemon of its own: nothing is proved")
	}
	v.must("", "account", "add", "copy", "vdir", "path="+filepath.Join(far.Dir, "copy"), "kind=calendar")
	v.must("", "group", "add", "home", "here", "copy", "--create-missing", "copy")
	v.must("", "sync", "home")
	if text, err := os.ReadFile(filepath.Join(far.Dir, "copy/work/one.ics")); err != nil || string(text) != event {
		t.Errorf("synced: %q %v", text, err)
	}
	if got := v.must("", "export", "here/work"); got != event {
		t.Errorf("the export is %q", got)
	}
	v.must(strings.ReplaceAll(event, "one", "two"), "import", "here/work")
	if text, err := os.ReadFile(filepath.Join(far.Dir, "cal/work/two.ics")); err != nil || !strings.Contains(string(text), "UID:two") {
		t.Errorf("imported: %q %v", text, err)
	}
	for _, kind := range []string{"unix", "tcp"} {
		args := []string{"--host", v.far(), "--json", "serve", "here/work"}
		if kind == "tcp" {
			args = append(args, "--tcp")
		}
		serving, stop := v.begins(v.env, args...)
		var got struct{ Address, Password, Stream string }
		var doc strings.Builder
		for !strings.HasSuffix(doc.String(), "}\n") && serving.Scan() {
			doc.WriteString(serving.Text() + "\n")
		}
		v.house.must(json.Unmarshal([]byte(doc.String()), &got))
		const item = "/user/calendars/work/one.ics"
		if kind == "unix" {
			if text := v.web(got.Address, "GET", item, ""); !strings.Contains(text, "SUMMARY:One") {
				t.Errorf("served: %s", text)
			}
		} else {
			req, err := http.NewRequestWithContext(t.Context(), "GET", strings.TrimSuffix(got.Address, "/")+item, nil)
			v.house.must(err)
			req.SetBasicAuth("davbus", got.Password)
			req.Host = v.addressOf(far, got.Stream) // here its port is taken: by far itself
			resp, err := http.DefaultClient.Do(req)
			v.house.must(err)
			resp.Body.Close()
			if resp.StatusCode != 200 {
				t.Errorf("served over TCP: %s", resp.Status)
			}
		}
		stop()
		if _, err := os.Stat(got.Address); err == nil {
			t.Error("the carried socket is left behind")
		}
	}
}

func TestFurtherT19ProxiesTunnelsSecretsAndTheControlSocketOfAnotherMachine(t *testing.T) {
	far := newHouse(t, "far")
	server := lab.Radicale(t)
	path, err := server.Make(t.Context(), "work")
	far.must(err)
	far.start()
	v := visit(t, far)
	v.must("", "account", "add", "work", "dav", "url="+server.URL+"/", "username="+lab.Alice, "--no-password")
	v.must(lab.AlicePassword+"\n", "login", "work") // the password crosses on a pipe of its own

	proxying, stop := v.begins(v.env, "--host", v.far(), "proxy", "work", "--write")
	socket := v.reads(proxying, "/")
	if got := v.web(socket, "PUT", path+"one.ics", event); !strings.HasPrefix(got, "201") {
		t.Errorf("by the proxy: %s", got)
	}
	stop()

	offer, _ := far.begins(nil, "tunnel", "offer", "desk", "echo", lab.Echo(t, "tcp", "127.0.0.1:0"))
	far.reads(offer, "desk")
	if got := v.must("", "tunnel", "list"); !strings.Contains(got, "desk") {
		t.Errorf("listed %q", got)
	}
	taking, stop := v.begins(v.env, "--host", v.far(), "tunnel", "take", "desk", "echo")
	socket = v.reads(taking, "/")
	for range 3 {
		if got := v.asks(socket, "hello"); got != "heard hello" {
			t.Errorf("by the tunnel: %q", got)
		}
	}
	stop()

	controlling, _ := v.begins(v.env, "--host", v.far(), "control")
	c, err := control.Dial(v.reads(controlling, "/"))
	v.house.must(err)
	defer c.Close()
	var list struct{ Ids []string }
	v.house.must(c.Call(t.Context(), "Shell.List", map[string]any{"kind": "accounts"}, &list))
	if len(list.Ids) != 1 || list.Ids[0] != "work" {
		t.Errorf("by the control socket: %q", list.Ids)
	}
}

func TestFurtherT19WhatSSHCannotDoIsSaidClearly(t *testing.T) {
	far := newHouse(t, "far")
	v := visit(t, far)
	for _, x := range []struct {
		change func(env []string) []string
		args   []string
		want   string
	}{
		{nil, []string{"status"}, "is not running"}, // the far bus is there, and nobody on it
		{func(e []string) []string { return []string{e[0], "FAR=nobody@far.example.org"} }, []string{"status"}, "cannot reach nobody@far.example.org by ssh"},
		{func(e []string) []string { return []string{e[0], "FAR=far.example.invalid"} }, []string{"status"}, "cannot reach far.example.invalid by ssh"},
		{func(e []string) []string { return []string{"DAVBUS_SSH=" + far.Dir + "/no-ssh", e[1]} }, []string{"status"}, "cannot start ssh"},
		{nil, []string{"agent"}, "ssh -t HOST davbus agent"},
		{nil, []string{"plugin", "check", "true"}, "this machine alone"},
	} {
		w := *v
		if x.change != nil {
			w.env = x.change(v.env)
		}
		if out, errs, err := w.run("", x.args...); err == nil || !strings.Contains(errs, x.want) || strings.Count(errs, "\n") > 2 {
			t.Errorf("%q: %v, says %q %q, want %q", x.args, err, out, errs, x.want)
		}
	}
	empty := t.TempDir()
	config, login := lab.SSH(t, "far.example.org", "PATH="+empty)
	w := *v
	w.env = []string{"DAVBUS_SSH=ssh -F " + config, "FAR=" + login + "@far.example.org"}
	if _, errs, err := w.run("", "status"); err == nil || !strings.Contains(errs, "install davbus there") {
		t.Errorf("without a davbus there: %v %q", err, errs)
	}
}
