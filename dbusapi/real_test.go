//go:build real

package dbusapi

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/data"
	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/engine"
)

// busctlWords writes a value as busctl wants it, without its type.
func busctlWords(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case dbus.ObjectPath:
		return []string{string(v)}
	case []string:
		return append([]string{fmt.Sprint(len(v))}, v...)
	case dict:
		out := []string{fmt.Sprint(len(v))}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out = append(out, key, v[key].Signature().String())
			out = append(out, busctlWords(v[key].Value())...)
		}
		return out
	}
	return []string{fmt.Sprint(v)}
}

// tool runs a program and gives what it said, whichever way.
func tool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	return string(out), err
}

// sends says whether a tool can pass such an argument at all.
func sends(args []any) bool {
	return !slices.ContainsFunc(args, func(v any) bool { _, ok := v.(dbus.UnixFD); return ok })
}

// elsewhere are the methods that these tools cannot see succeed here: what a caller
// holds is gone with a program that makes one call, and streams are made by the real
// host. In service, the same tools make those calls
// (TestBusctlAndGdbusLeadToStreams), or their libraries do
// (TestWhatOneCallerHoldsAndHandsOverWithTheLibrariesOfBusctlAndGdbus).
var elsewhere = append([]string{"Job.Watch", "Job.Unwatch", "Manager.UnregisterAgent", "PluginManager.Unregister"}, notHere...)

// neither are those of which they see nothing: they send no descriptor, so again
// their libraries do, and data/examples/introduction.py; and nobody but a sandboxed
// caller is refused Resume (TestFurtherASandboxedProgramReadsAndSyncsAndNothingElse).
var neither = []string{"Account.SetSecret", "Introducer.Introduce", "Manager.Resume"}

func TestBusctlAndGdbusCallEveryMethod(t *testing.T) {
	tools := map[string]func(address, path, iface, member string, args []any) []string{
		"busctl": func(address, path, iface, member string, args []any) []string {
			words := []string{"busctl", "--address=" + address, "--timeout=20", "call", BusName, path, iface, member}
			if len(args) > 0 {
				words = append(words, dbus.SignatureOf(args...).String(), "--")
			}
			for _, v := range args {
				words = append(words, busctlWords(v)...)
			}
			return words
		},
		"gdbus": func(address, path, iface, member string, args []any) []string {
			words := []string{"gdbus", "call", "--address", address, "--timeout", "20", "--dest", BusName, "--object-path", path, "--method", iface + "." + member}
			for _, v := range args {
				words = append(words, dbus.MakeVariant(v).String())
			}
			return words
		},
	}
	for program, command := range tools {
		t.Run(program, func(t *testing.T) {
			address, b := onBus(t)
			bustest.NothingShows(t, address, "geheim")
			paths, seen := served(), map[string]bool{}
			for _, x := range tries(0, 0) {
				if !sends(x.args) || x.want == denied || x.want == "" && slices.Contains(elsewhere, x.method) {
					continue
				}
				seen[x.method+map[bool]string{true: " well", false: " badly"}[x.want == ""]] = true
				short, member, _ := strings.Cut(x.method, ".")
				iface := BusName + "." + short
				b.host.failWith(x.host, orNone(x))
				stop := func() {}
				if x.method == "Shell.SyncAndWait" && x.want == "" {
					stop = b.endsNextJob(b.endAll())
				}
				out, err := tool(t, command(address, string(paths[iface]), iface, member, x.args)...)
				stop()
				b.host.failWith(x.host, engine.KindCount)
				if (err == nil) != (x.want == "") {
					t.Errorf("%s %v: %v\n%s", x.method, x.args, err, out)
				}
				if program == "gdbus" && x.want != "" && !strings.Contains(out, x.want+":") {
					t.Errorf("%s %v says %q, want %s", x.method, x.args, out, x.want)
				}
				if program == "busctl" && x.want != "" && len(out) < len("Call failed: ")+12 {
					t.Errorf("%s %v says only %q", x.method, x.args, out)
				}
			}
			for name, i := range contract(t) {
				for _, m := range i.Methods {
					method := strings.TrimPrefix(name, BusName+".") + "." + m.Name
					if paths[name] == "" || name == ifLog || slices.Contains(neither, method) {
						continue
					}
					if !seen[method+" badly"] || !seen[method+" well"] && !slices.Contains(elsewhere, method) {
						t.Errorf("%s was not seen to succeed and to fail", method)
					}
				}
			}
		})
	}
}

// endsNextJob ends the first job after last, once it is there.
func (b *bench) endsNextJob(last engine.JobID) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		eventually(b.t, "a job begins", func() bool { return b.face.view.lastJob() > last })
		b.host.end(b.face.view.lastJob(), engine.Success, engine.Failure{})
	}()
	return func() { <-done }
}

func TestToolsSeeTheWholeTree(t *testing.T) {
	address, _ := onBus(t)
	out, err := tool(t, "busctl", "--address="+address, "tree", "--list", BusName)
	if err != nil {
		t.Fatal(err, out)
	}
	for path := range objectsOf {
		if !slices.Contains(strings.Fields(out), string(path)) {
			t.Errorf("busctl tree does not show %s:\n%s", path, out)
		}
	}
	recursed, err := tool(t, "gdbus", "introspect", "--address", address, "--dest", BusName, "--object-path", string(Root), "--recurse")
	if err != nil {
		t.Fatal(err, recursed)
	}
	spec := contract(t)
	for path, ifaces := range objectsOf {
		for _, iface := range ifaces {
			if path != LogPath && !strings.Contains(recursed, "interface "+iface+" {") {
				t.Errorf("gdbus introspect does not show %s", iface)
			}
			out, err := tool(t, "busctl", "--address="+address, "introspect", BusName, string(path), iface)
			if err != nil {
				t.Error(err, out)
			}
			for _, p := range spec[iface].Properties {
				if !strings.Contains(out, "."+p.Name+" ") {
					t.Errorf("busctl introspect %s %s does not show %s:\n%s", path, iface, p.Name, out)
				}
			}
			for _, m := range spec[iface].Methods {
				if !strings.Contains(out, "."+m.Name+" ") {
					t.Errorf("busctl introspect %s %s does not show %s:\n%s", path, iface, m.Name, out)
				}
			}
		}
	}
}

func TestToolsGetAndSetProperties(t *testing.T) {
	address, _ := onBus(t)
	account := string(Root) + "/account/work"
	bus := func(args ...string) string {
		t.Helper()
		out, err := tool(t, append([]string{"busctl", "--address=" + address}, args...)...)
		if err != nil {
			t.Error(err, out)
		}
		return strings.TrimSpace(out)
	}
	bus("set-property", BusName, account, ifAccount, "DisplayName", "s", "Büro")
	if got := bus("get-property", BusName, account, ifAccount, "DisplayName"); got != `s "B\303\274ro"` && got != `s "Büro"` {
		t.Errorf("DisplayName is %s", got)
	}
	if out, err := tool(t, "busctl", "--address="+address, "set-property", BusName, account, ifAccount, "State", "s", "idle"); err == nil {
		t.Error("State was set", out)
	}
	bus("set-property", BusName, string(LogPath), ifLog, "LogLevel", "s", "debug")
	if got := bus("get-property", BusName, string(LogPath), ifLog, "LogLevel"); got != `s "debug"` {
		t.Errorf("LogLevel is %s", got)
	}
}

// Other programs generate code from the documents: it must be accepted, and the
// C must compile.
func TestGeneratorsAcceptEveryDocument(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, data.Interfaces); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "dbus-1", "*", "*.xml"))
	if err != nil || len(files) < 15 {
		t.Fatal(files, err)
	}
	flags, err := exec.Command("pkg-config", "--cflags", "gio-unix-2.0").Output()
	if err != nil {
		t.Fatal("pkg-config and libglib2.0-dev are needed: ", err)
	}
	all := filepath.Join(dir, "all")
	calls := [][]string{
		append([]string{"xmllint", "--noout", "--nonet"}, files...),
		append([]string{"gdbus-codegen", "--interface-prefix", BusName, "--c-namespace", "Davbus", "--c-generate-object-manager", "--generate-c-code", all}, files...),
		append([]string{"gdbus-codegen", "--generate-docbook", all}, files...),
		append([]string{"gcc", "-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations", "-fsyntax-only", all + ".c"}, strings.Fields(string(flags))...),
	}
	for _, file := range files {
		base := strings.TrimSuffix(file, ".xml")
		calls = append(calls, []string{"qdbusxml2cpp", "-p", base + "_p", file}, []string{"qdbusxml2cpp", "-a", base + "_a", file})
	}
	for _, args := range calls {
		if out, err := tool(t, args...); err != nil {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
}
