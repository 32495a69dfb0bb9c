package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"davbus.org/davbus/service/lab"
)

// Names on the bus.
const (
	busName = "org.davbus.Sync1"
	root    = "/org/davbus/Sync1"
	manager = "org.davbus.Sync1.Manager"
)

// A play is the demo: a server, a daemon, a home.
type play struct {
	*stage
	home   lab.HomeDir
	server *server
	daemon *lab.Program
	pim    string // the folder that is kept in step
}

func newPlay(s *stage, bin string) *play {
	p := &play{stage: s}
	s.title("A bus, a home, a server and the daemon")
	p.home = lab.Home(s)
	p.pim = filepath.Join(p.home.Dir, "pim")
	address := p.chooseBus()
	s.env = p.home.Env("DBUS_SESSION_BUS_ADDRESS="+address, "TERM="+os.Getenv("TERM"))
	for i, e := range s.env {
		if path, ok := strings.CutPrefix(e, "PATH="); ok {
			s.env[i] = "PATH=" + bin + ":" + path
		}
	}
	p.server = newServer(s, p.home.Runtime)
	s.say("The embedded server listens at %s and on %s.", p.server.url, p.server.socket)
	p.password()

	began := time.Now()
	daemon, err := lab.Start(s.env, filepath.Join(bin, "davbusd"), "--log-level", "debug")
	if err != nil {
		s.Fatalf("%v; run make build first", err)
	}
	p.daemon, s.witness = daemon, daemon
	s.Cleanup(func() { daemon.Stop(5 * time.Second) })
	ready := lab.Within(patience, func() bool { return daemon.Ended() || s.ctx.Err() != nil || owned(s.ctx, address) })
	if !ready || daemon.Ended() {
		s.Fatalf("davbusd does not own %s\n%v", busName, daemon)
	}
	s.seen("davbusd owns %s (%.2f s)", busName, time.Since(began).Seconds())
	return p
}

// chooseBus takes the session bus if there is one and no davbus is on it, so
// that a person's own davbus is left alone; else it starts one of its own.
func (p *play) chooseBus() string {
	address := os.Getenv("DBUS_SESSION_BUS_ADDRESS")
	if dir := os.Getenv("XDG_RUNTIME_DIR"); address == "" && dir != "" {
		if c, err := net.Dial("unix", filepath.Join(dir, "bus")); err == nil {
			c.Close()
			address = "unix:path=" + filepath.Join(dir, "bus")
		}
	}
	why := "There is no session bus"
	if address != "" {
		taken, err := nameHasOwner(p.ctx, address, busName)
		switch {
		case err != nil:
			why = "The session bus cannot be used"
		case taken:
			why = "Another davbus is on the session bus and stays alone"
		default:
			p.say("The session bus is used; what happens on it is the demo's own.")
			return address
		}
	}
	p.say("%s: the demo has a private one.", why)
	return lab.Bus(p.stage).Address
}

func owned(ctx context.Context, address string) bool {
	yes, err := nameHasOwner(ctx, address, busName)
	return yes && err == nil
}

// password writes the file that password-command reads.
func (p *play) password() {
	if err := os.WriteFile(p.passwordFile(), []byte(secret+"\n"), 0o600); err != nil {
		p.Fatalf("%v", err)
	}
}

func (p *play) passwordFile() string { return filepath.Join(p.home.Dir, "pw") }

// read gives a file of the folder, "" if it is not there.
func (p *play) read(folder, name string) string {
	b, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil && !os.IsNotExist(err) {
		p.Fatalf("%v", err)
	}
	return string(b)
}

// find gives the file in a folder whose text has a line, and how many files
// there are.
func (p *play) find(folder, line string) (name string, files int) {
	list, err := os.ReadDir(folder)
	if err != nil && !os.IsNotExist(err) {
		p.Fatalf("%v", err)
	}
	for _, f := range list {
		if ext := filepath.Ext(f.Name()); ext != ".ics" && ext != ".vcf" {
			continue
		}
		files++
		if line != "" && strings.Contains(p.read(folder, f.Name()), line+"\r\n") {
			name = f.Name()
		}
	}
	return name, files
}

// edit replaces a text in a file as an editor does.
func (p *play) edit(folder, name, old, new string) {
	path := filepath.Join(folder, name)
	before := p.read(folder, name)
	if !strings.Contains(before, old) {
		p.Fatalf("%s does not say %q", path, old)
	}
	fmt.Println(p.paint("36", "$ "+spell("sed", []string{"-i", "s/" + old + "/" + new + "/", path})))
	temp := filepath.Join(folder, ".edit.tmp")
	if err := os.WriteFile(temp, []byte(strings.ReplaceAll(before, old, new)), 0o600); err != nil {
		p.Fatalf("%v", err)
	}
	if err := os.Rename(temp, path); err != nil {
		p.Fatalf("%v", err)
	}
}
