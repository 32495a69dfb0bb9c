package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/keeper"
	"davbus.org/davbus/transports/route"
	"davbus.org/davbus/transports/web"
)

// kinds are the kinds of account that this build has. Their parameters are what
// davbus-config(5) documents and what GetParameters tells.
type kinds struct {
	dirs    dirs
	secrets *secrets
	plugins *plugins
	handed  *route.Handed // for fd routes; nil for none
	log     *log          // of what programs of routes say; nil for none

	mu      sync.Mutex
	clients map[*web.Client]bool // open ones
	past    web.Stats            // of those that are closed
	refused map[engine.AccountID]refusal
}

func newKinds(d dirs, s *secrets, p *plugins) *kinds {
	return &kinds{dirs: d, secrets: s, plugins: p, clients: map[*web.Client]bool{}, refused: map[engine.AccountID]refusal{}}
}

// table is the list of kinds.
func (k *kinds) table() keeper.Kinds {
	table := keeper.Kinds{
		"dav":  {Params: davParams(), Open: k.openDAV, Syntax: davSyntax, Place: k.davPlace},
		"vdir": {Params: vdirParams(), Open: k.openVdir, Syntax: vdirSyntax, Found: k.foundVdir},

		"webcal": {Params: webcalParams(), Open: k.openWebcal, Syntax: webcalSyntax, Place: k.webcalPlace},
		"store":  {Params: storeParams(), Open: k.openStore},
	}
	k.plugins.table(table)
	return table
}

// specs tells the configuration which keys a kind has.
func (p *program) specs(kind string) ([]engine.ParamSpec, bool) {
	k, ok := newKinds(p.dirs, nil, p.plugins).table()[kind]
	return k.Params, ok
}

func davParams() []engine.ParamSpec {
	return append(webParams(), []engine.ParamSpec{
		{Name: "auth", Signature: "s", Default: "auto", Choices: []string{"auto", "basic", "digest", "bearer", "oauth2", "none"}, Summary: "How to log in; auto answers what the server asks for"},
		{Name: "kinds", Signature: "as", Choices: []string{engine.Calendar, engine.AddressBook}, Summary: "What to look for; both by default"},
		{Name: "collections", Signature: "as", Summary: "Take only these ids; all by default, new ones as they appear"},
		{Name: "components", Signature: "as", Choices: []string{"VEVENT", "VTODO", "VJOURNAL"}, Summary: "Take only items of these; all by default"},
		{Name: "url-command", Signature: "as", Command: true, Summary: "Program and arguments; the first line of what it prints is the URL"},
		{Name: "username-command", Signature: "as", Command: true, Summary: "Program and arguments; the first line of what it prints is the user name"},
		{Name: "scheduling", Signature: "s", Default: "ask", Choices: []string{"ask", "server"}, Summary: "Whether many new invitations wait for a person or are left to the server"},
		{Name: "interval-sec", Signature: "u", Default: uint32(900), Summary: "Seconds between scheduled syncs; 0 for only on request or change"},
		formatsParam(),
		{Name: "read-only", Signature: "b", Default: false, Summary: "Never write there"},
	}...)
}

// webParams are those of every kind that asks a server.
func webParams() []engine.ParamSpec {
	return []engine.ParamSpec{
		{Name: "url", Signature: "s", Required: true, Summary: "https://HOST/PATH, or USER@HOST or a bare domain to be discovered; without a password"},
		{Name: "via", Signature: "s", Summary: "Route: absent for TCP, unix:/PATH, unix:%t/PATH, unix:@NAME, tcp:HOST:PORT, fd:NAME, exec:COMMAND"},
		{Name: "username", Signature: "s", Summary: "User name"},
		{Name: "password", Signature: "s", Secret: true, Summary: "Password; by SetSecret, the keyring or an agent"},
		{Name: "password-command", Signature: "as", Command: true, Summary: "Program and arguments; the first line of what it prints is the password"},
		{Name: "host", Signature: "s", Summary: "Another Host header"},
		{Name: "user-agent", Signature: "s", Summary: "Another User-Agent header"},
		{Name: "ca-file", Signature: "s", Summary: "File of certificates (PEM) to trust besides those of the system"},
		{Name: "tls-pin", Signature: "s", Summary: "SHA-256, in hexadecimal, of the one certificate to trust"},
	}
}

// formatsParam is for what takes one version of vCard only and does not say so:
// a program that reads a folder, a server.
func formatsParam() engine.ParamSpec {
	return engine.ParamSpec{Name: "formats", Signature: "as", Choices: []string{engine.VCard3, engine.VCard4},
		Summary: "Contacts go there in these versions of vCard only; by default in those that it says it takes"}
}

func webcalParams() []engine.ParamSpec {
	return append(webParams(), []engine.ParamSpec{
		{Name: "interval-sec", Signature: "u", Default: uint32(900), Summary: "Seconds between scheduled syncs; 0 for only on request or change"},
	}...)
}

func storeParams() []engine.ParamSpec {
	return []engine.ParamSpec{
		{Name: "collections", Signature: "as", Summary: "Take only these ids; all by default, new ones as they appear"},
		formatsParam(),
		{Name: "read-only", Signature: "b", Default: false, Summary: "Never write there"},
	}
}

func vdirParams() []engine.ParamSpec {
	return []engine.ParamSpec{
		{Name: "path", Signature: "s", Required: true, Summary: "The folder; one folder below it for each collection. ~ and %h are the home folder"},
		{Name: "kind", Signature: "s", Choices: []string{engine.Calendar, engine.AddressBook}, Summary: "For folders that hold no file yet (in a file: collection-kind)"},
		{Name: "collections", Signature: "as", Summary: "Take only these folders; all by default, new ones as they appear"},
		{Name: "write-displayname", Signature: "b", Default: false, Summary: "Write the file displayname too; khal then names the calendar by it"},
		formatsParam(),
		{Name: "read-only", Signature: "b", Default: false, Summary: "Never write there"},
	}
}

func vdirSyntax(p engine.Params) error {
	path, _ := p["path"].(string)
	if !filepath.IsAbs(path) && !strings.HasPrefix(path, "~/") && !strings.HasPrefix(path, "%h/") && path != "~" && path != "%h" {
		return errors.New("the parameter \"path\" is a whole path: /PATH, ~/PATH or %h/PATH")
	}
	return nil
}

// vdirPath is where the folder of a vdir account is.
func (k *kinds) vdirPath(p engine.Params) string {
	path, _ := p["path"].(string)
	for _, home := range []string{"~", "%h"} {
		if rest, ok := strings.CutPrefix(path, home); ok && (rest == "" || rest[0] == '/') {
			return filepath.Join(k.dirs.home, rest)
		}
	}
	return filepath.Clean(path)
}

func (k *kinds) foundVdir(p engine.Params) error {
	path := k.vdirPath(p)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return engine.Fail(engine.StorageError, "make the folder", path, "%w", err)
	}
	return nil
}

// statistics counts what all clients have done.
func (k *kinds) statistics() map[string]uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	sum := k.past
	for c := range k.clients {
		addStats(&sum, c.Stats())
	}
	m := map[string]uint64{"http-requests": sum.Requests, "http-failed": sum.Class[0], "http-bytes-in": sum.In, "http-bytes-out": sum.Out}
	for class := 1; class < len(sum.Class); class++ {
		m[fmt.Sprintf("http-%dxx", class)] = sum.Class[class]
	}
	return m
}

func addStats(to *web.Stats, more web.Stats) {
	to.Requests += more.Requests
	to.Dials += more.Dials
	to.In += more.In
	to.Out += more.Out
	for i := range to.Class {
		to.Class[i] += more.Class[i]
	}
}
