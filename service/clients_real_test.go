//go:build real

package service

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/dbusapi/bustest"
)

// What each client of testdata/clients says: it adds two folders with a group,
// follows a sync and the settling of the conflict that it finds in the order that
// the contract promises, and calls for what is not there.
const clientTranscript = `account /org/davbus/Sync1/account/a
account /org/davbus/Sync1/account/b
group /org/davbus/Sync1/group/home
sync added new reply done completed:success removed:success
tree /account/a /account/a/cal /account/b /account/b/cal /group/home
conflict added two.ics open
versions a/cal=Mine b/cal=Theirs
resolve added new reply done completed:success removed:success
conflicts 0
error org.davbus.Sync1.Error.NotFound
`

// clientsSay runs clients against the real daemon, each with a fresh one.
func clientsSay(t *testing.T, bus bustest.Bus, clients map[string][]string) {
	for name, argv := range clients {
		t.Run(name+" on "+bus.Name, func(t *testing.T) {
			d := homeOn(t, bus)
			d.write("a/cal/one.ics", vevent("one", "First"))
			d.write("a/cal/two.ics", vevent("two", "Mine"))
			d.write("b/cal/two.ics", vevent("two", "Theirs"))
			d.start()
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
			var says, complains strings.Builder
			cmd.Stdout, cmd.Stderr = &says, &complains
			if err := cmd.Run(); err != nil || says.String() != clientTranscript {
				t.Errorf("%v\n%s\nit says\n%s\nand should say\n%s", err, complains.String(), says.String(), clientTranscript)
			}
		})
	}
}

// built runs programs that make others in a folder of the test, and gives it.
func built(t testing.TB, commands ...[]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, argv := range commands {
		for i := range argv {
			argv[i] = strings.ReplaceAll(argv[i], "DIR", dir)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
		cancel()
		if err != nil {
			t.Fatalf("%v: %v\n%s", argv, err, out)
		}
	}
	return dir
}

// flags are those of a compiler for libraries.
func flags(t *testing.T, libraries ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "pkg-config", append([]string{"--cflags", "--libs"}, libraries...)...).Output()
	if err != nil {
		t.Fatalf("pkg-config %q: %v (make check-all installs what is missing)", libraries, err)
	}
	return strings.Fields(string(out))
}

const interfaces = "../data/dbus-1/interfaces/org.davbus.Sync1"

// gdbusClient compiles the client in C.
func gdbusClient(t *testing.T) string {
	t.Helper()
	dir := built(t,
		[]string{"gdbus-codegen", "--interface-prefix", "org.davbus.Sync1.", "--c-namespace", "Davbus",
			"--c-generate-object-manager", "--output-directory", "DIR", "--generate-c-code", "davbus",
			interfaces + ".Manager.xml", interfaces + ".Job.xml", interfaces + ".Conflict.xml"},
		append([]string{"gcc", "-O0", "-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations", "-IDIR", "-o", "DIR/client",
			"testdata/clients/client.c", "DIR/davbus.c"}, flags(t, "gio-unix-2.0")...))
	return dir + "/client"
}

// three are the clients of every check.
func three(t *testing.T) map[string][]string {
	return map[string][]string{
		"sd-bus in a shell": {"sh", "testdata/clients/client.sh"},
		"GDBus in C":        {gdbusClient(t)},
		"Gio in Python":     {"/usr/bin/python3", "testdata/clients/client.py"},
	}
}

func TestOneScriptWithThreeLibraries(t *testing.T) {
	clientsSay(t, bustest.Buses()[0], three(t))
}
