//go:build real

package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/adrg/xdg"
	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

func TestScenario47ASecondDaemonIsRefusedBeforeItTouchesAnything(t *testing.T) {
	d := home(t)
	d.start()
	other := lab.Home(t)
	t.Setenv("XDG_STATE_HOME", other.State)
	xdg.Reload()
	err := Run(t.Context(), Options{Log: &syncBuffer{}})
	if err == nil || !strings.Contains(err.Error(), "another davbusd serves this session") {
		t.Errorf("on the same bus: %v", err)
	}
	if _, err := os.Stat(filepath.Join(other.State, "davbus", "ledger.db")); err == nil {
		t.Error("it made a ledger")
	}
	t.Setenv("XDG_STATE_HOME", d.State)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", lab.Bus(t).Address)
	xdg.Reload()
	err = Run(t.Context(), Options{Log: &syncBuffer{}})
	if err == nil || !strings.Contains(err.Error(), "another davbusd uses this state folder") {
		t.Errorf("over the same state: %v", err)
	}
}

func TestALostBusEndsTheDaemonWithAnError(t *testing.T) {
	d := home(t)
	d.start()
	d.bus.Stop()
	select {
	case err := <-d.ended:
		if err == nil || !strings.Contains(err.Error(), "connection to the bus is lost") {
			t.Errorf("got %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it stays without a bus")
	}
}

func TestQuitAnswersFirstAndThenLeaves(t *testing.T) {
	d := home(t)
	d.start()
	d.must(d.c.Call(t.Context(), client.Root, client.Name+".Control.Quit", []any{map[string]dbus.Variant{}}))
	select {
	case err := <-d.ended:
		d.must(err)
	case <-time.After(patience):
		t.Error("it does not leave")
	}
}

func TestAnIdleDaemonLeavesAndABusyOneDoesNot(t *testing.T) {
	d := home(t)
	d.write(".config/davbus/davbus.yaml", "idle-exit-sec: 1\n")
	d.start()
	select {
	case err := <-d.ended:
		d.must(err)
	case <-time.After(patience):
		t.Fatal("it has nothing to do and stays")
	}
	d.write(".config/davbus/accounts/a.yaml", "kind: vdir\npath: ~/a\n")
	d.write(".config/davbus/accounts/b.yaml", "kind: vdir\npath: ~/b\n")
	d.write(".config/davbus/groups/g.yaml", "members: [a, b]\ninterval-sec: 0\n")
	d.start()
	select {
	case <-d.ended:
		t.Error("it watches two folders, and left")
	case <-time.After(3 * time.Second):
	}
}

func TestReloadTakesWhatPeopleWriteAndNamesWhatIsWrong(t *testing.T) {
	d := home(t)
	d.start()
	d.write(".config/davbus/accounts/a.yaml", "# mine\nkind: vdir\npath: ~/a\n")
	changed, err := d.c.Reload(t.Context(), false)
	if err != nil || len(changed) != 1 || changed[0] != "a" {
		t.Fatalf("changed %v, %v", changed, err)
	}
	d.must(d.c.UpdateAccount(t.Context(), "a", client.Options{"path": "/x"}, nil))
	text, err := os.ReadFile(filepath.Join(d.Config, "davbus/accounts/a.yaml"))
	if err != nil || string(text) != "# mine\nkind: vdir\npath: /x\n" {
		t.Errorf("%q, %v", text, err)
	}
	d.write(".config/davbus/accounts/b.yaml", "kind: vdir\npth: ~/a\n")
	_, err = d.c.Reload(t.Context(), false)
	if !client.HasName(err, "InvalidConfig") || !strings.Contains(err.Error(), "accounts/b.yaml:2:1") {
		t.Errorf("got %v", err)
	}
	var state string
	d.must(d.c.Get(t.Context(), client.Root, client.Name+".Control", "ConfigState", &state))
	if state != "invalid" {
		t.Errorf("ConfigState is %q after a reload that failed", state)
	}
	d.must(os.Remove(filepath.Join(d.Config, "davbus/accounts/b.yaml")))
	d.write(".config/davbus/accounts/a.yaml", "kind: vdir\npath: /y\n")
	err = d.c.UpdateAccount(t.Context(), "a", client.Options{"path": "/z"}, nil)
	if !client.HasName(err, "InvalidConfig") || !strings.Contains(err.Error(), "reload first") {
		t.Errorf("a file that was edited meanwhile: %v", err)
	}
	d.reload <- os.Interrupt // as SIGHUP does
	if !lab.Within(patience, func() bool { return strings.Contains(d.log.String(), "configuration reloaded") }) {
		t.Error("SIGHUP did not reload")
	}
}
