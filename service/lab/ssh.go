package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
)

// SSH makes a way into this machine by ssh, as if it were another one that is
// called host. It gives the file to name with ssh -F, and the user to log in as.
// An sshd with keys and a configuration of its own serves each ssh, on its pipe,
// and ends with it; nothing listens. What runs there has more in its environment,
// as "NAME=value".
func SSH(t T, host string, more ...string) (config, login string) {
	t.Helper()
	dir := shortDir(t)
	me, err := user.Current()
	if err != nil {
		t.Fatalf("cannot tell who runs this: %v", err)
	}
	// sshd wants this folder when root runs it; the system makes it at boot, if
	// its sshd is started.
	const separation = "/run/sshd"
	if os.Geteuid() == 0 {
		// It is left there: another test may use it by now.
		if err := os.Mkdir(separation, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatalf("cannot make the folder that sshd wants: %v", err)
		}
	}
	key := func(name string) (path, public string) {
		path = filepath.Join(dir, name)
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", path).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v %s", err, out)
		}
		text, err := os.ReadFile(path + ".pub")
		if err != nil {
			t.Fatalf("%v", err)
		}
		return path, strings.TrimSpace(string(text))
	}
	hostKey, hostPublic := key("host")
	userKey, userPublic := key("user")
	text := fmt.Sprintf(sshdConfig, hostKey, write(t, dir, "authorized_keys", userPublic+"\n"))
	if len(more) > 0 {
		text += fmt.Sprintf("SetEnv \"%s\"\n", strings.Join(more, "\" \""))
	}
	server := write(t, dir, "sshd_config", text)
	config = write(t, dir, "ssh_config", fmt.Sprintf(sshConfig, host, server, filepath.Join(dir, "sshd.log"), userKey,
		write(t, dir, "known_hosts", host+" "+hostPublic+"\n")))
	return config, me.Username
}

const sshdConfig = `HostKey %s
AuthorizedKeysFile %s
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding yes
AllowStreamLocalForwarding yes
PidFile none
`

const sshConfig = `Host %s
ProxyCommand /usr/sbin/sshd -i -f %s -E %s
IdentityFile %s
IdentitiesOnly yes
IdentityAgent none
UserKnownHostsFile %s
GlobalKnownHostsFile none
StrictHostKeyChecking yes
BatchMode yes
`
