//go:build real && further

package service

import (
	"path/filepath"
	"testing"

	"davbus.org/davbus/dbusapi/bustest"
)

// qtClient compiles the client of QtDBus.
func qtClient(t *testing.T) string {
	t.Helper()
	dir := built(t,
		[]string{"qdbusxml2cpp", "-i", "davbus_types.h", "-p", "DIR/manager", interfaces + ".Manager.xml"},
		[]string{"qdbusxml2cpp", "-i", "davbus_types.h", "-p", "DIR/conflict", interfaces + ".Conflict.xml"},
		[]string{"moc", "DIR/manager.h", "-o", "DIR/manager_moc.cpp"},
		[]string{"moc", "DIR/conflict.h", "-o", "DIR/conflict_moc.cpp"},
		[]string{"moc", "testdata/clients/client.cpp", "-o", "DIR/client.moc"},
		append([]string{"g++", "-O0", "-fPIC", "-IDIR", "-Itestdata/clients", "-o", "DIR/client", "testdata/clients/client.cpp",
			"DIR/manager.cpp", "DIR/conflict.cpp", "DIR/manager_moc.cpp", "DIR/conflict_moc.cpp"}, flags(t, "Qt5DBus")...))
	return dir + "/client"
}

func TestFurtherOneScriptWithEveryLibraryOnBothBuses(t *testing.T) {
	clients := three(t)
	clients["QtDBus in C++"] = []string{qtClient(t)}
	clients["GJS"] = []string{"gjs", "testdata/clients/client.js", "../data/dbus-1/interfaces"}
	clients["libdbus in Python"] = []string{"/usr/bin/python3", "testdata/clients/client_dbus.py"}
	for _, bus := range bustest.Buses() {
		clientsSay(t, bus, clients)
	}
}

func TestFurtherTheExampleInGJSFollowsASync(t *testing.T) {
	exampleFollows(t, []string{"gjs", examples + "follow.js"}, objectLines...)
}

// qtExample compiles an example with what Qt makes of the XML.
func qtExample(t *testing.T, name string, libraries ...string) string {
	t.Helper()
	dir := built(t,
		[]string{"qdbusxml2cpp", "-p", "DIR/manager", interfaces + ".Manager.xml"},
		[]string{"moc", "DIR/manager.h", "-o", "DIR/moc_manager.cpp"},
		[]string{"moc", examples + "davbus.h", "-o", "DIR/moc_davbus.cpp"},
		append([]string{"g++", "-O0", "-fPIC", "-Wall", "-IDIR", "-I" + examples, "-o", "DIR/" + name, examples + name + ".cpp",
			"DIR/manager.cpp", "DIR/moc_manager.cpp", "DIR/moc_davbus.cpp"}, flags(t, libraries...)...))
	return filepath.Join(dir, name)
}

func TestFurtherTheExampleWithQtFollowsASync(t *testing.T) {
	exampleFollows(t, []string{qtExample(t, "follow", "Qt5DBus")}, objectLines...)
}

func TestFurtherTheExampleInQMLShowsASync(t *testing.T) {
	t.Setenv("QT_QPA_PLATFORM", "offscreen")
	t.Setenv("QT_QUICK_BACKEND", "software")
	t.Setenv("QT_FORCE_STDERR_LOGGING", "1")
	exampleFollows(t, []string{qtExample(t, "panel", "Qt5DBus", "Qt5Quick"), examples + "panel.qml"},
		"qml: account a: idle", "qml: account b: idle", "qml: job 1: ", "qml: conflict: two.ics in ", "qml: job 1: success")
}
