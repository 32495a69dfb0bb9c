//go:build real && further

package service

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

const (
	unknownService = "org.freedesktop.DBus.Error.ServiceUnknown"
	accessDenied   = "org.freedesktop.DBus.Error.AccessDenied"
)

// A request is one call, as gdbus is told of it.
type request struct {
	what string
	args []string
}

func ask(what, path, method string, args ...string) request {
	return request{what, append([]string{"--object-path", path, "--method", method}, args...)}
}

// What programs behind a filter try, by the class of dbusapi's table.
var (
	reads = []request{
		ask("a property", rootPath, "org.freedesktop.DBus.Properties.Get", "org.davbus.Sync1.Manager", "State"),
		ask("all properties", rootPath+"/group/home", "org.freedesktop.DBus.Properties.GetAll", "org.davbus.Sync1.Group"),
		ask("the tree", rootPath, "org.freedesktop.DBus.ObjectManager.GetManagedObjects"),
		ask("introspection", rootPath, "org.freedesktop.DBus.Introspectable.Introspect"),
	}
	lists    = []request{ask("the status", rootPath, "org.davbus.Sync1.Shell.Status", "")}
	syncs    = []request{ask("a sync", rootPath, "org.davbus.Sync1.Manager.Sync", "home", "@a{sv} {}")}
	controls = []request{
		ask("a setting", rootPath+"/account/a", "org.freedesktop.DBus.Properties.Set", "org.davbus.Sync1.Account", "DisplayName", "<'x'>"),
		ask("a pause", rootPath, "org.davbus.Sync1.Manager.Pause", "0", "@a{sv} {}"),
		ask("to go on", rootPath, "org.davbus.Sync1.Manager.Resume"),
		ask("a new account", rootPath, "org.davbus.Sync1.Manager.AddAccount", "c", "store", "@a{sv} {}", "@a{sv} {}"),
		ask("to quit", rootPath, "org.davbus.Sync1.Control.Quit", "@a{sv} {}"),
	}
)

// behind starts the filter of sandboxes, in a root of its own or in ours, and gives
// the address behind it.
func (d *rig) behind(address string, wrap []string, root string, rules ...string) string {
	d.Helper()
	own := "/filtered"
	if root == "/" {
		own = filepath.Join(d.Runtime, "filtered")
	}
	socket := filepath.Join(root, own)
	argv := append(append(wrap, "xdg-dbus-proxy", address, own, "--filter"), rules...)
	p, err := lab.Start(d.Env(), argv[0], argv[1:]...)
	d.must(err)
	d.Cleanup(p.Kill)
	listens := func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	if !lab.Within(patience, func() bool { return p.Ended() || listens() }) || p.Ended() {
		d.Fatalf("the filter does not listen\n%v", p)
	}
	return "unix:path=" + socket
}

// expect makes requests through an address and demands an error's name of each,
// or success with "".
func (d *rig) expect(address, want string, requests ...[]request) {
	d.Helper()
	for _, list := range requests {
		for _, r := range list {
			out, err := d.says(append([]string{"gdbus", "call", "--address", address, "--dest", client.Name, "--timeout", "20"}, r.args...)...)
			if (err == nil) != (want == "") || !strings.Contains(out, want) {
				d.Errorf("%s: wanted %q, got %v: %s", r.what, want, err, out)
			}
		}
	}
}

func TestFurtherAProgramBehindAFilterGetsWhatItsRulesSay(t *testing.T) {
	const n = "=org.davbus.Sync1=org.freedesktop.DBus."
	reading := []string{
		"--call" + n + "Properties.Get@/org/davbus/Sync1/*", "--call" + n + "Properties.GetAll@/org/davbus/Sync1/*",
		"--call" + n + "ObjectManager.GetManagedObjects@/org/davbus/Sync1", "--call" + n + "Introspectable.*@/org/davbus/Sync1/*",
	}
	syncing := append(reading[:len(reading):len(reading)], "--call=org.davbus.Sync1=org.davbus.Sync1.Manager.Sync@/org/davbus/Sync1")
	for _, c := range []struct {
		profile string
		rules   []string
		fine    [][]request
		refused [][]request
		by      string
	}{
		{"none", nil, nil, [][]request{reads, lists, syncs, controls}, unknownService},
		{"see", []string{"--see=" + client.Name}, nil, [][]request{reads, lists, syncs, controls}, accessDenied},
		{"read", reading, [][]request{reads}, [][]request{lists, syncs, controls}, accessDenied},
		{"read and sync", syncing, [][]request{reads, syncs}, [][]request{lists, controls}, accessDenied},
		{"talk", []string{"--talk=" + client.Name}, [][]request{reads, lists, syncs, controls[:4]}, nil, ""},
	} {
		t.Run(c.profile, func(t *testing.T) {
			d := conflicted(t)
			address := d.behind(d.bus.Address, nil, "/", c.rules...)
			d.expect(address, "", c.fine...)
			d.expect(address, c.by, c.refused...)
		})
	}
}

// sandbox makes a root with the filter in it, as a sandbox has one, with an
// application's description and the bus at /bus, and gives what runs a program
// there. It takes root, or a kernel that lets everybody play root.
func (d *rig) sandbox(description string) (wrap []string, root string) {
	d.Helper()
	root = filepath.Join(d.Runtime, "root")
	libraries, err := d.says("ldd", "/usr/bin/xdg-dbus-proxy")
	d.must(err)
	for _, path := range append(regexp.MustCompile(`/\S+`).FindAllString(libraries, -1), "/usr/bin/xdg-dbus-proxy") {
		program, err := os.ReadFile(path)
		d.must(err)
		d.must(os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o700))
		d.must(os.WriteFile(filepath.Join(root, path), program, 0o700))
	}
	d.must(os.WriteFile(filepath.Join(root, ".flatpak-info"), []byte(description), 0o600))
	d.must(os.Link(strings.TrimPrefix(d.bus.Address, "unix:path="), filepath.Join(root, "bus")))
	wrap = []string{"chroot", root}
	if os.Getuid() != 0 {
		wrap = append([]string{"unshare", "--map-root-user"}, wrap...)
	}
	return wrap, root
}

// As Flatpak does it: the filter runs in the sandbox's own root, where the
// application's description lies, and is let through to the name. What it may
// not, the daemon itself refuses.
func TestFurtherASandboxedProgramReadsAndSyncsAndNothingElse(t *testing.T) {
	d := conflicted(t)
	d.sync("home", "success")
	wrap, root := d.sandbox("[Application]\nname=org.example.Panel\n")
	address := d.behind("unix:path=/bus", wrap, root, "--talk="+client.Name)
	d.expect(address, "", reads, lists, syncs)
	content := []request{
		ask("the texts of a conflict", rootPath+"/conflict/c1", "org.davbus.Sync1.Conflict.GetVersions", "@a{sv} {}"),
		ask("to settle a conflict", rootPath+"/conflict/c1", "org.davbus.Sync1.Conflict.Resolve", "newest", "@a{sv} {}"),
		ask("an export", rootPath+"/account/a/cal", "org.davbus.Sync1.Collection.Export", "@a{sv} {}"),
	}
	d.expect(address, accessDenied, content, controls)
	var initiator string
	d.must(d.c.Get(t.Context(), rootPath+"/job/2", client.Name+".Job", "Initiator", &initiator))
	if initiator != "org.example.Panel" {
		t.Errorf("the job was started by %q", initiator)
	}
}
