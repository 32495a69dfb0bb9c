//go:build real

package service

import (
	"os/exec"
	"strings"
	"testing"

	"davbus.org/davbus/dbusapi/client"
)

const rootPath = "/org/davbus/Sync1"

// What testdata/clients/holder.py is answered.
const holderTranscript = `Manager.RegisterAgent done
Manager.RegisterAgent .Error.AlreadyExists
Manager.UnregisterAgent done
Manager.UnregisterAgent .Error.NotFound
PluginManager.Register gives
PluginManager.Unregister done
PluginManager.Unregister .Error.NotFound
Introducer.Register gives
Introducer.Introduce .Error.InvalidArgs
Introducer.Introduce .Error.NotFound
Introducer.Introduce done
snake heard hello
Introducer.Unregister done
Introducer.Unregister .Error.NotFound
Account.SetSecret done
Account.SetSecret .Error.InvalidArgs
Job.Watch done
Job.Unwatch done
Job.Unwatch .Error.NotFound
Collection.Serve gives
Stream.Listen .Error.NotSupported
Stream.Listen gives
Stream.OpenFd .Error.Busy
Stream.Close done
Stream.Close .Error.UnknownObject
`

// busctl and gdbus are a new caller with each call, and send no descriptors. Their
// libraries can do both.
func TestWhatOneCallerHoldsAndHandsOverWithTheLibrariesOfBusctlAndGdbus(t *testing.T) {
	for _, library := range []string{"gdbus", "sd-bus"} {
		t.Run(library, func(t *testing.T) {
			d := home(t)
			d.write("pim/here/one.ics", vevent("one", "First"))
			d.start()
			d.held()
			d.reads(d.python("wait", "snake"), "waiting as snake")
			out, err := d.says("/usr/bin/python3", "testdata/clients/holder.py", library, "home")
			if err != nil || out != holderTranscript {
				t.Errorf("%v, it says\n%s\nand should say\n%s", err, out, holderTranscript)
			}
		})
	}
}

// oneCalls make one call with a tool: busctl wants types, gdbus finds them out.
var oneCalls = map[string]func(path, member, types string, args ...string) []string{
	"busctl": func(path, member, types string, args ...string) []string {
		iface, method := member[:strings.LastIndex(member, ".")], member[strings.LastIndex(member, ".")+1:]
		words := []string{"busctl", "--user", "--timeout=20", "call", client.Name, rootPath + path, client.Name + "." + iface, method}
		if types == "" {
			return words
		}
		return append(append(words, types), args...)
	},
	"gdbus": func(path, member, types string, args ...string) []string {
		words := []string{"gdbus", "call", "--session", "--timeout", "20", "--dest", client.Name, "--object-path", rootPath + path, "--method", client.Name + "." + member}
		for i, a := range args {
			if strings.HasPrefix(types[i:], "a{sv}") {
				a = map[string]string{"0": "{}", "1 keep b true": "{'keep': <true>}", "1 dryrun b true": "{'dryrun': <true>}"}[strings.Join(args[i:], " ")]
				return append(words, a)
			}
			words = append(words, a)
		}
		return words
	},
}

// What leads to a private socket, with a success and a fault of each method.
func TestBusctlAndGdbusLeadToStreams(t *testing.T) {
	const invalid, unsupported = "org.freedesktop.DBus.Error.InvalidArgs", "org.freedesktop.DBus.Error.NotSupported"
	keep, typo := []string{"1", "keep", "b", "true"}, []string{"1", "dryrun", "b", "true"}
	for name, words := range oneCalls {
		t.Run(name, func(t *testing.T) {
			d, _ := withFolder(t, "one")
			d.account("far", "dav", "url", "http://127.0.0.1:1/")
			call := func(want, path, member, types string, args ...string) (stream string) {
				t.Helper()
				argv := words(path, member, types, args...)
				text, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
				out := string(text)
				fault := strings.Contains(want, "Error")
				if fault != (err != nil) || (!fault || name == "gdbus") && !strings.Contains(out, want) || fault && len(out) < 30 {
					t.Errorf("%q: wanted %s, got %v: %s", argv, want, err, out)
				}
				_, after, _ := strings.Cut(out, rootPath)
				return strings.TrimRight(after, "\"',()\n ")
			}
			const work = "/account/here/work"
			for _, m := range []string{"Export", "Import", "Serve"} {
				call(client.Name+".Error.NotFound", "", "Shell."+m, "s", "here/nothing")
				call(d.Runtime, "", "Shell."+m, "s", "here/work")
				call(invalid, work, "Collection."+m, "a{sv}", typo...)
				call("/stream/", work, "Collection."+m, "a{sv}", "0")
			}
			call(unsupported, "", "Shell.Proxy", "s", "here")
			call(d.Runtime, "", "Shell.Proxy", "s", "far")
			for account, members := range map[string][]string{"/account/far": {"OpenProxy"}, "/account/here": {"ServePlugin"}} {
				call(invalid, account, "Account."+members[0], "a{sv}", typo...)
				call("/stream/", account, "Account."+members[0], "a{sv}", "0")
			}
			stream := call("/stream/", work, "Collection.Serve", "a{sv}", keep...)
			call(unsupported, stream, "Stream.Listen", "ssa{sv}", "pigeon", "", "0")
			call(d.Runtime, stream, "Stream.Listen", "ssa{sv}", "unix", "", "0")
			call(invalid, stream, "Stream.Close", "a{sv}", typo...)
			call("", stream, "Stream.Close", "a{sv}", "0")
			stream = call("/stream/", work, "Collection.Serve", "a{sv}", keep...)
			call(invalid, stream, "Stream.OpenFd", "a{sv}", typo...)
			call("", stream, "Stream.OpenFd", "a{sv}", "0")
		})
	}
}
