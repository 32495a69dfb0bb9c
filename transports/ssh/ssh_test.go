package ssh

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets this program be an ssh that does what the test wants: it says
// something, ends with some status, or gives back what it reads.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != "be-ssh" {
		goleak.VerifyTestMain(m)
		return
	}
	var status int
	switch host := os.Args[slices.Index(os.Args, "--")+1]; host {
	case "echo":
		io.Copy(os.Stdout, os.Stdin)
	case "args":
		fmt.Print(strings.Join(os.Args, "\n"))
	case "here": // the master's own folder is the user's alone
		i := slices.IndexFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "ControlPath=") })
		dir := strings.TrimSuffix(strings.TrimPrefix(os.Args[i], "ControlPath="), "/m")
		info, err := os.Stat(dir)
		fmt.Print(info.Mode().Perm(), err)
	default:
		fmt.Sscanf(host, "exit-%d", &status)
		fmt.Fprintln(os.Stderr, "first\nPermission \x1b[2Jdenied (publickey).")
	}
	os.Exit(status)
}

func fakeSSH(t *testing.T, host string, command ...string) (*Host, error) {
	t.Helper()
	h, err := Dial(host, Options{Program: []string{os.Args[0], "be-ssh"}, Dir: t.TempDir()}, command...)
	if err == nil {
		t.Cleanup(func() { h.Close() })
	}
	return h, err
}

func TestBytesGoToTheCommandAndBack(t *testing.T) {
	h, err := fakeSSH(t, "echo", "davbus", "bridge")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(h, "hello")
	h.WriteCloser.Close()
	if got, err := io.ReadAll(h); err != nil || string(got) != "hello" {
		t.Errorf("%q %v", got, err)
	}
	h.Close()
	if _, err := os.Stat(h.dir); !os.IsNotExist(err) {
		t.Errorf("its folder is left: %v", err)
	}
}

func TestWhatSSHSaidIsTheErrorAndEachCauseHasItsOwn(t *testing.T) {
	for status, want := range map[string][]string{
		"exit-255": {"cannot reach exit-255 by ssh", "Permission [2Jdenied (publickey).", "try: "},
		"exit-127": {"no such command", "install davbus there"},
		"exit-1":   {"the command on exit-1 failed", "denied"},
		"exit-0":   {"the connection to exit-0 ended"},
	} {
		h, err := fakeSSH(t, status)
		if err != nil {
			t.Fatal(err)
		}
		why := h.Why().Error()
		for _, w := range want {
			if !strings.Contains(why, w) {
				t.Errorf("%s: %q does not say %q", status, why, w)
			}
		}
		if strings.ContainsAny(why, "\x1b\n") {
			t.Errorf("%q moves a terminal's cursor", why)
		}
	}
	if _, err := Dial("host", Options{Program: []string{"/nowhere/ssh"}, Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "cannot start ssh") {
		t.Error(err)
	}
}

func TestNoHostIsAnOption(t *testing.T) {
	for _, host := range []string{"", "-oProxyCommand=touch x"} {
		if h, err := fakeSSH(t, host); err == nil {
			h.Close()
			t.Errorf("%q was taken for a host", host)
		}
	}
	h, err := fakeSSH(t, "args", "davbus", "a b", "it's", "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(h)
	if want := "\n--\nargs\ndavbus\n'a b'\n'it'\\''s'\n''"; err != nil || !strings.HasSuffix(string(got), want) {
		t.Errorf("%q %v", got, err)
	}
}

func TestTheFolderOfSocketsIsTheUsersAlone(t *testing.T) {
	h, err := fakeSSH(t, "here")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(h); string(got) != "-rwx------ <nil>" {
		t.Errorf("%s", got)
	}
}

func TestOnlySocketsAreForwarded(t *testing.T) {
	h, err := fakeSSH(t, "echo")
	if err != nil {
		t.Fatal(err)
	}
	for _, there := range []string{"", "relative", "nonsense"} {
		if _, err := h.Forward(t.Context(), there); err == nil {
			t.Errorf("%q was forwarded", there)
		}
	}
}
