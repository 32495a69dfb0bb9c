package service

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

func TestWhatIsHandedOverIsTakenByItsNameAndOnlyIfItIsForUs(t *testing.T) {
	for _, c := range []struct {
		pid, count, names string
		control           string
		all               []string
	}{
		{"7", "3", "server:control:other", "control", []string{"3 server", "4 control", "5 other"}},
		{"7", "2", "", "", []string{"3 unknown", "4 unknown"}},
		{"7", "2", "control", "control", []string{"3 control", "4 unknown"}},
		{"7", "1", "a:control", "", []string{"3 a"}},
		{"8", "1", "control", "", nil},
		{"", "", "", "", nil},
		{"7", "many", "control", "", nil},
		{"7", "-1", "control", "", nil},
	} {
		env := map[string]string{"LISTEN_PID": c.pid, "LISTEN_FDS": c.count, "LISTEN_FDNAMES": c.names, "LISTEN_PIDFDID": "9", "HOME": "/"}
		var opened []string
		files := map[*os.File]string{}
		control, rest := handed(7, func(name string) string { return env[name] }, func(name string) error { delete(env, name); return nil }, func(fd int, name string) *os.File {
			opened = append(opened, fmt.Sprint(fd, " ", name))
			f, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			files[f] = name
			return f
		})
		if got := files[control]; got != c.control || !slices.Equal(opened, c.all) || len(env) != 1 {
			t.Errorf("%+v: control %q, opened %q, left %v", c, files[control], opened, env)
		}
		rest.Close()
		for f, name := range files {
			if err := f.Close(); name != "control" && err == nil {
				t.Errorf("%s was not kept for the routes", name)
			}
		}
	}
}
