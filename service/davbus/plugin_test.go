package main

import (
	"strings"
	"testing"
)

func TestAPluginIsCheckedWithoutADaemon(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+t.TempDir()+"/none")
	for _, c := range []struct {
		args []string
		code int
		said string
	}{
		{[]string{"plugin", "check", "/no/such/program"}, exitFailed, "BROKEN  it starts"},
		{[]string{"plugin", "check", "--param", "path=x", "--", "/no/such/program", "--its-own-option"}, exitFailed, "BROKEN  it starts"},
		{[]string{"plugin", "check", "--param", "path", "/no/such/program"}, exitUsage, "NAME=VALUE"},
		{[]string{"plugin", "check", "--"}, exitUsage, "davbus"},
		{[]string{"plugin", "check", "--secret", "password", "/no/such/program"}, exitUsage, "no password"}, // nothing stands in standard input
		{[]string{"plugin", "list"}, exitFailed, "davbus:"},                                                 // which does need it
	} {
		var out strings.Builder
		if code := run(t.Context(), c.args, &out, &out); code != c.code || !strings.Contains(out.String(), c.said) {
			t.Errorf("%q: exit code %d, want %d:\n%s", c.args, code, c.code, out.String())
		}
	}
}
