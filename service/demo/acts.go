package main

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/service/lab"
)

func (p *play) busctl(args ...string) string {
	return p.shown("busctl", append([]string{"--user"}, args...)...)
}

func (p *play) firstSync() {
	p.title("A server and a folder, kept in step")
	call := []string{"call", busName, root, manager}
	p.busctl(append(call, "AddAccount", "ssa{sv}a{sv}", "work", "dav", "3", "url", "s", p.server.url, "username", "s", user,
		"password-command", "as", "2", "cat", p.passwordFile(), "0")...)
	p.busctl(append(call, "AddAccount", "ssa{sv}a{sv}", "local", "vdir", "1", "path", "s", p.pim, "0")...)
	p.busctl(append(call, "AddGroup", "sasa{sv}", "home", "2", "work", "local", "1", "create-missing", "as", "1", "local")...)

	monitor, err := lab.Start(p.env, p.path("gdbus"), "monitor", "--session", "--dest", busName)
	if err != nil {
		p.Fatalf("%v", err)
	}
	defer monitor.Kill()
	if !lab.Within(patience, func() bool { return strings.Contains(monitor.String(), "is owned by") }) {
		p.Fatalf("gdbus monitor does not listen\n%v", monitor)
	}
	p.live("davbus", "sync", "home")
	p.arrives("the end was told by a signal", func() bool { return strings.Contains(monitor.String(), "Job.Completed ('success'") })
	p.check(strings.Contains(monitor.String(), "'Percent'"), "the progress was told by signals")
	p.sameEverywhere(p.pim, "the folder")
}

func (p *play) path(name string) string {
	path, err := lookup(name, p.env)
	if err != nil {
		p.Fatalf("%v", err)
	}
	return path
}

// sameEverywhere compares every item of the server with the files of a folder.
func (p *play) sameEverywhere(folder, what string) {
	total := 0
	for name, s := range map[string]*memory.Storage{"personal": p.server.personal, "tasks": p.server.tasks, "friends": p.server.friends} {
		byUID := map[string]string{}
		files, err := os.ReadDir(filepath.Join(folder, name))
		if err != nil {
			p.Fatalf("%s is not there: %v", name, err)
		}
		for _, f := range files {
			if ext := filepath.Ext(f.Name()); ext == ".ics" || ext == ".vcf" {
				t := p.read(filepath.Join(folder, name), f.Name())
				byUID[string(item.Read([]byte(t)).UID)] = t
			}
		}
		texts := s.Texts()
		if len(texts) != len(byUID) {
			p.Fatalf("%s: the server has %d items, %s %d", name, len(texts), what, len(byUID))
		}
		for ref, t := range texts {
			if have := byUID[string(item.Read([]byte(t)).UID)]; !item.Same([]byte(have), []byte(t)) {
				p.Fatalf("%s/%s is another in %s:\n%s\n%s", name, ref, what, t, have)
			}
			total++
		}
	}
	p.check(total == p.server.count() && total > 1800, "all %d items of the server are in %s, and say the same", total, what)
}

func (p *play) tree() {
	p.title("What is on the bus, and what is in the folder")
	tree := p.busctl("tree", busName)
	for _, path := range []string{"/account/work", "/account/local", "/group/home", "/job/"} {
		p.check(strings.Contains(tree, root+path), "%s is in the tree", root+path)
	}
	p.shown("davbus", "status")
	p.shown("sh", "-c", "cd "+p.pim+" && ls && ls personal | tail -n 4")
}

func (p *play) editOnServer() {
	p.title("An edit on the server")
	p.say("Somebody else moves the dentist to 11:00, on the server.")
	p.server.personal.Put(dentist, event("dentist", "Dentist", "20270304T110000Z"))
	p.live("davbus", "sync", "home", "-v")
	name, _ := p.find(p.pim+"/personal", "UID:dentist")
	p.check(strings.Contains(p.read(p.pim+"/personal", name), "DTSTART:20270304T110000Z"), "personal/%s has the new time", name)
}

func (p *play) editInFolder() {
	p.title("An edit in the folder, and nobody asks for a sync")
	name, _ := p.find(p.pim+"/tasks", "UID:milk")
	p.edit(p.pim+"/tasks", name, "Buy milk", "Buy milk and bread")
	p.arrives("the server has it", func() bool { return strings.Contains(p.server.tasks.Texts()[milk], "SUMMARY:Buy milk and bread") })
	p.quietNow()
}

// quietNow waits until nothing runs.
func (p *play) quietNow() {
	state := ""
	if !lab.Within(patience, func() bool {
		state = p.property(root+"/group/home", "org.davbus.Sync1.Group", "State")
		return state == "idle" || state == "conflicts"
	}) {
		p.Fatalf("the group does not come to rest; its state is %q", state)
	}
}

func (p *play) deletions() {
	p.title("A deletion on each side")
	p.say("The gym is taken off the server.")
	p.server.personal.Remove(gym)
	p.live("davbus", "sync", "home", "-v")
	name, _ := p.find(p.pim+"/personal", "UID:gym")
	p.check(name == "", "it is gone from the folder")
	card, _ := p.find(p.pim+"/friends", "UID:grace")
	p.shown("rm", filepath.Join(p.pim, "friends", card))
	p.arrives("it is gone from the server", func() bool { return p.server.friends.Texts()[grace] == "" })
	p.quietNow()
}

func (p *play) conflict() {
	p.title("A true conflict: nothing is lost, nothing is chosen for you")
	p.say("The server says that the tea is at Ann's; the folder says at Bob's.")
	atServer := event("tea", "Tea at Ann's", "20270305T150000Z")
	p.server.personal.Put(tea, atServer)
	name, _ := p.find(p.pim+"/personal", "UID:tea")
	p.edit(p.pim+"/personal", name, "SUMMARY:Tea", "SUMMARY:Tea at Bob's")
	var path string
	p.arrives("the conflict is an object on the bus", func() bool {
		path = p.objectBelow(root + "/conflict/")
		return path != ""
	})
	p.quietNow()
	p.shownExit(4, "davbus", "conflicts")
	p.seen("its exit status 4 tells a script that a person is needed")
	p.busctl("get-property", busName, path, "org.davbus.Sync1.Conflict", "Members", "ItemName", "State")
	p.check(p.server.personal.Texts()[tea] == string(atServer), "the server's text is untouched")
	p.check(strings.Contains(p.read(p.pim+"/personal", name), "SUMMARY:Tea at Bob's"), "the folder's text is untouched")
	p.say("It is settled by making both the same.")
	p.edit(p.pim+"/personal", name, "SUMMARY:Tea at Bob's", "SUMMARY:Tea at Ann's")
	p.arrives("the conflict is gone", func() bool { return p.objectBelow(root+"/conflict/") == "" })
	p.quietNow()
	p.sameEverywhere(p.pim, "the folder")
}

// objectBelow gives an object whose path begins so, "" if there is none.
func (p *play) objectBelow(prefix string) string {
	var answer struct{ Data []map[string]json.RawMessage }
	out := p.quiet("busctl", "--user", "--json=short", "call", busName, root, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
	if err := json.Unmarshal([]byte(out), &answer); err != nil || len(answer.Data) != 1 {
		p.Fatalf("GetManagedObjects: %v\n%s", err, out)
	}
	var paths []string
	for path := range answer.Data[0] {
		if strings.HasPrefix(path, prefix) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	if len(paths) == 0 {
		return ""
	}
	return paths[0]
}

func (p *play) property(path, iface, name string) string {
	var answer struct{ Data string }
	out := p.quiet("busctl", "--user", "--json=short", "get-property", busName, path, iface, name)
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		p.Fatalf("%s of %s: %v\n%s", name, path, err, out)
	}
	return answer.Data
}

// script is what a script would do: gdbus alone, here over the Unix socket.
func (p *play) script() {
	p.title("The same for a script, over the Unix socket")
	copyDir := filepath.Join(p.home.Dir, "copy")
	call := func(method string, args ...string) string {
		return p.shown("gdbus", append([]string{"call", "--session", "--timeout", "60", "--dest", busName, "--object-path", root, "--method", busName + "." + method}, args...)...)
	}
	call("Manager.AddAccount", "socket", "dav", "{'url': <'http://localhost/'>, 'via': <'unix:"+p.server.socket+"'>, 'username': <'"+user+"'>, 'password-command': <['cat', '"+p.passwordFile()+"']>}", "{}")
	call("Manager.AddAccount", "copy", "vdir", "{'path': <'"+copyDir+"'>}", "{}")
	call("Manager.AddGroup", "mirror", "['socket', 'copy']", "{'create-missing': <['copy']>}")
	result := call("Shell.SyncAndWait", "mirror")
	p.check(strings.TrimSpace(result) == "('success',)", "the script is told ('success',)")
	p.check(p.property(root+"/account/socket", "org.davbus.Sync1.Account", "Transport") == "unix", "it went over the Unix socket")
	p.sameEverywhere(copyDir, "the second folder")
	writes, files := p.server.writes.Load(), p.touched(copyDir)
	result = call("Shell.SyncAndWait", "mirror")
	p.check(strings.TrimSpace(result) == "('success',)" && p.server.writes.Load() == writes && maps.Equal(p.touched(copyDir), files),
		"a second sync writes nothing, to the server or to any of %d files and folders", len(files))
}

// touched is when each file below a folder was last written.
func (p *play) touched(folder string) map[string]time.Time {
	times := map[string]time.Time{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			times[path] = info.ModTime()
		}
		return err
	})
	if err != nil {
		p.Fatalf("%v", err)
	}
	return times
}

func (p *play) goodbye() {
	p.title("Goodbye")
	p.shown("gdbus", "call", "--session", "--dest", busName, "--object-path", root, "--method", busName+".Control.Quit", "{}")
	err := p.daemon.Wait(10 * time.Second)
	p.check(err == nil, "davbusd has ended by itself, with exit status 0")
	p.check(!strings.Contains(p.daemon.String(), secret), "it never told the password to anybody")
}
