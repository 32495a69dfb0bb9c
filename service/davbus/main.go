// Command davbus works davbus from a terminal or a script. All that it does, it
// does by calls on the session bus: see davbus(1).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"

	"davbus.org/davbus/data"
	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/transports/ssh"
)

// Exit codes: see davbus(1).
const (
	exitSuccess = 0
	exitFailed  = 1
	exitUsage   = 2
	exitPartial = 3
	exitPerson  = 4
)

type commands struct {
	Host    string           `help:"Work the davbus of another machine, by ssh." placeholder:"USER@HOST"`
	JSON    bool             `help:"Print JSON: one document, or one object a line where lines come as things happen."`
	Version kong.VersionFlag `help:"Print the version and exit."`

	Account    accountCmd      `cmd:"" help:"Servers and folders: where collections come from."`
	Check      accountCheckCmd `cmd:"" hidden:""`
	Login      loginCmd        `cmd:"" help:"Try a password for an account, and keep it."`
	Logout     logoutCmd       `cmd:"" help:"Forget the password of an account."`
	Agent      agentCmd        `cmd:"" help:"Answer davbus's questions in this terminal: passwords, certificates, held deletions, conflicts."`
	Collection collectionCmd   `cmd:"" help:"Calendars and address books: what accounts have."`
	Group      groupCmd        `cmd:"" help:"What is kept in step with what."`
	Sync       syncCmd         `cmd:"" help:"Bring a group, an account, a collection or everything into step now."`
	Pause      pauseCmd        `cmd:"" help:"Start nothing by itself for a time."`
	Resume     resumeCmd       `cmd:"" help:"End a pause."`
	Status     statusCmd       `cmd:"" help:"How everything stands."`
	Watch      watchCmd        `cmd:"" help:"Tell what happens, as it happens."`
	Conflicts  conflictsCmd    `cmd:"" help:"Items that were changed in different ways, left as they are."`
	Problems   problemsCmd     `cmd:"" help:"Items that could not be synced, and why."`
	Held       heldCmd         `cmd:"" help:"Deletions that wait for you because they are suspiciously many."`
	Plugin     pluginCmd       `cmd:"" help:"Programs that keep items for davbus: see davbus-plugin(7)."`
	Log        logCmd          `cmd:"" help:"What finished jobs did."`
	Resolve    resolveCmd      `cmd:"" help:"Settle a conflict."`
	Versions   versionsCmd     `cmd:"" help:"What items were before they were overwritten or deleted."`
	Restore    restoreCmd      `cmd:"" help:"Bring an earlier version of an item back."`
	Undo       undoCmd         `cmd:"" help:"Put back what a job overwrote or deleted."`
	Why        whyCmd          `cmd:"" help:"Why an item is as it is: which member, job and rule."`
	Repair     repairCmd       `cmd:"" help:"Give items without UID, or with a UID that is there twice, a new one."`
	Export     exportCmd       `cmd:"" help:"Write all items of a collection to standard output."`
	Import     importCmd       `cmd:"" help:"Write items into a collection, from a file or standard input."`
	Serve      serveCmd        `cmd:"" help:"Offer a collection as CalDAV or CardDAV on a private socket, and print its path."`
	Proxy      proxyCmd        `cmd:"" help:"Make a socket behind which plain HTTP reaches an account's server, logged in, and print its path."`
	Tunnel     tunnelCmd       `cmd:"" help:"Offer a service of this machine's user to other programs, and take such offers."`
	Control    controlCmd      `cmd:"" help:"Print the path of the control socket, for programs without a bus."`
	Bridge     bridgeCmd       `cmd:"" hidden:"" help:"What --host runs on the other machine."`
	Reload     reloadCmd       `cmd:"" help:"Read the configuration files again: all of them, or none if one is wrong."`
}

const description = `davbus keeps calendars, tasks and contacts in step: CalDAV and CardDAV servers and
folders of .ics and .vcf files, any with any. The daemon davbusd does the work; this
command tells it what to do.

A first session:

  davbus account add work dav url=https://dav.example.org/ username=me
  davbus account add local vdir path=~/pim
  davbus group add home work local --create-missing local
  davbus sync home

An id after a command is a group, an account, or ACCOUNT/COLLECTION.`

// A runtime is what every command works with.
type runtime struct {
	ctx    context.Context
	client *client.Client
	out    io.Writer
	json   bool
	remote *ssh.Host // of --host; nil without
	code   int       // how the process will exit if the command returns no error
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	var c commands
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("davbus"), kong.Description(description), kong.UsageOnError(),
		kong.Writers(stdout, stderr), kong.Exit(func(n int) { exited = n }),
		kong.Vars{"version": "davbus " + data.Version},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)
	if err != nil {
		fmt.Fprintln(stderr, "davbus:", err)
		return exitFailed
	}
	if len(args) == 0 || args[0] == "help" {
		args = append(slices.Clone(args[min(1, len(args)):]), "--help")
	}
	k, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "davbus: %v\nTry: %s\n", err, hint(err))
		return exitUsage
	}
	r := &runtime{ctx: ctx, out: stdout, json: c.JSON}
	if alone, ok := k.Selected().Target.Addr().Interface().(interface{ needsNoDaemon() }); ok && alone != nil {
		if c.Host != "" {
			fmt.Fprintln(stderr, "davbus: this command works on this machine alone; leave --host out")
			return exitUsage
		}
		return finish(k.Run(r), r, stderr)
	}
	bus, err := r.dial(c.Host)
	if err != nil {
		fmt.Fprintln(stderr, "davbus:", err)
		return exitFailed
	}
	if r.remote != nil {
		defer r.remote.Close()
	}
	defer bus.Close()
	r.client = bus
	return finish(k.Run(r), r, stderr)
}

// hint is what to type to see how the command is used that could not be parsed.
func hint(err error) string {
	words := "davbus"
	if p, ok := errors.AsType[*kong.ParseError](err); ok {
		for _, at := range p.Context.Path {
			if at.Command != nil {
				words += " " + at.Command.Name
			}
		}
	}
	return words + " --help"
}

// dial joins the bus, of this machine or of another. Commands get a context that
// ^C does not end at once: what they started is theirs to end in good order.
func (r *runtime) dial(host string) (*client.Client, error) {
	ctx := context.WithoutCancel(r.ctx)
	if host == "" {
		return client.Dial(ctx)
	}
	return r.dialRemote(ctx, host)
}

// finish tells how a command ended.
func finish(err error, r *runtime, stderr io.Writer) (code int) {
	if err == nil {
		return r.code
	}
	if client.HasName(err, "org.freedesktop.DBus.Error.NoReply") {
		err = client.ErrGone
	}
	if !errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "davbus:", err)
	}
	return codeOf(err)
}

// codeOf gives the exit code for an error of a command.
func codeOf(err error) int {
	if _, ok := errors.AsType[usageError](err); ok || client.HasName(err, "org.freedesktop.DBus.Error.InvalidArgs") {
		return exitUsage
	}
	for _, name := range []string{"AuthRequired", "AuthFailed", "SecretLocked", "NeedsConfirmation", "CertUntrusted"} {
		if client.HasName(err, name) {
			return exitPerson
		}
	}
	return exitFailed
}

// A usageError is a fault in the command line that the parser cannot see.
type usageError string

func (e usageError) Error() string { return string(e) }
