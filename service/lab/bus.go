package lab

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// A PrivateBus is a session bus that nobody else uses and on which nothing is
// activated, unless folders with service files are named.
type PrivateBus struct {
	Address string // for DBUS_SESSION_BUS_ADDRESS

	program *Program
}

// Bus starts dbus-daemon.
func Bus(t T, serviceDirs ...string) *PrivateBus {
	t.Helper()
	dir := shortDir(t)
	socket := filepath.Join(dir, "bus")
	var services strings.Builder
	for _, d := range serviceDirs {
		services.WriteString("  <servicedir>" + xmlText(d) + "</servicedir>\n")
	}
	config := write(t, dir, "bus.conf", fmt.Sprintf(busConfig, xmlText(socket), services.String()))
	p, err := Start(plainEnv("HOME="+dir), "dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", "--config-file="+config)
	if err != nil {
		t.Fatalf("%v", err)
	}
	b := &PrivateBus{Address: "unix:path=" + socket, program: p}
	t.Cleanup(b.Stop)
	if !Within(patience, func() bool { return p.Ended() || accepts(socket) }) || p.Ended() {
		t.Fatalf("dbus-daemon does not listen\n%v", p)
	}
	return b
}

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <keep_umask/>
  <listen>unix:path=%s</listen>
%s  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`

func xmlText(s string) string { return strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(s) }

func accepts(socket string) bool {
	c, err := net.Dial("unix", socket)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// Stop ends the bus. It may be called twice.
func (b *PrivateBus) Stop() {
	if b.program != nil {
		b.program.Stop(patience)
		b.program = nil
	}
}
