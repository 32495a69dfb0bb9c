//go:build real && further

package blackbox_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"davbus.org/davbus/service/lab"
)

// A program keeps the two in step when it is told to.
type program interface {
	// sync is one run to its end, whatever comes of it.
	sync()
	// killed begins a run and kills the program when the time has come; the next
	// sync starts it again.
	killed(when <-chan struct{})
}

// A shipped is davbus, its daemon running all the time.
type shipped struct{ *world }

func withDavbus(w *world) program {
	w.house.bus = lab.Bus(w)
	w.file("password", lab.AlicePassword+"\n")
	w.config("accounts/work.yaml", fmt.Sprintf("kind: dav\nurl: %s/\nusername: %s\npassword-command: [cat, %s]\n", w.url, lab.Alice, filepath.Join(w.Dir, "password")))
	w.config("accounts/local.yaml", "kind: vdir\npath: ~/pim\n")
	w.config("groups/home.yaml", "members: [work, local]\ninterval-sec: 0\n")
	p := &shipped{w}
	p.start()
	return p
}

// start has the daemon do nothing by itself, as nothing else here does.
func (p *shipped) start() {
	p.house.start()
	if _, errs, code := p.davbus("pause"); code != 0 {
		p.Fatalf("it does not pause: %s", errs)
	}
}

func (p *shipped) sync() {
	if p.daemon.Ended() {
		p.start()
	}
	p.house.sync()
}

func (p *shipped) killed(when <-chan struct{}) {
	if _, errs, code := p.davbus("sync", "home", "--no-wait"); code != 0 {
		p.Fatalf("it does not sync: %s", errs)
	}
	p.comes(when)
	p.daemon.Kill()
}

// A vdirsyncer is run anew each time, as it is made for.
type vdirsyncer struct {
	*world
	config string
}

func withVdirsyncer(w *world) program {
	w.file("vdirsyncer", fmt.Sprintf(`[general]
status_path = "%s/status/"
[pair home]
a = "local"
b = "work"
collections = null
[storage local]
type = "filesystem"
path = "%s"
fileext = ".ics"
[storage work]
type = "caldav"
url = "%s%s%s/"
username = "%s"
password = "%s"
`, w.Dir, w.folder(), w.url, w.home, w.calendar, lab.Alice, lab.AlicePassword))
	v := &vdirsyncer{w, filepath.Join(w.Dir, "vdirsyncer")}
	p := v.runs("discover")
	if err := p.Wait(patience); err != nil {
		w.Fatalf("%v\n%v", err, p)
	}
	return v
}

func (v *vdirsyncer) runs(what string) *lab.Program {
	v.Helper()
	p, err := lab.Start(v.Env(), "vdirsyncer", "-c", v.config, what)
	v.must(err)
	v.Cleanup(func() { p.Stop(patience) })
	return p
}

func (v *vdirsyncer) sync() {
	v.Helper()
	p := v.runs("sync")
	err := p.Wait(patience)
	v.Logf("%v%v", p, err) // its own report, for whoever reads; not for the judge
}

func (v *vdirsyncer) killed(when <-chan struct{}) {
	p := v.runs("sync")
	v.comes(when)
	p.Kill()
}

func vdirsyncerVersion(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "vdirsyncer", "--version").Output()
	if err != nil {
		t.Fatalf("vdirsyncer: %v (make check-all installs what is missing)", err)
	}
	fields := strings.Fields(string(out))
	return fields[len(fields)-1]
}
