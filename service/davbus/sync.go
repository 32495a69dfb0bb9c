package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
)

type syncCmd struct {
	What    string `arg:"" optional:"" help:"A group, an account or ACCOUNT/COLLECTION; everything if it is left out."`
	DryRun  bool   `help:"Name what would be done; change nothing."`
	Slow    bool   `help:"Trust no mark: compare everything."`
	Mode    string `help:"two-way, or from:MEMBER; for a group." placeholder:"MODE"`
	Verbose bool   `short:"v" help:"Name every item."`
	NoWait  bool   `help:"Start it and print the path of its job."`
}

func (c *syncCmd) Run(r *runtime) error {
	o := client.SyncOptions{Mode: c.Mode, Slow: c.Slow, DryRun: c.DryRun}
	if c.NoWait {
		job, err := r.client.Sync(r.ctx, c.What, o)
		if err == nil {
			say(r.out, "%s", job)
		}
		return err
	}
	f, err := r.client.Follow(r.ctx)
	if err != nil {
		return err
	}
	defer f.Close()
	job, err := r.client.Sync(r.ctx, c.What, o)
	if err != nil {
		return err
	}
	return r.followWith(f, job, c.DryRun || c.Verbose)
}

// follow shows a job until it is done.
func (r *runtime) follow(job dbus.ObjectPath) error {
	f, err := r.client.Follow(r.ctx)
	if err != nil {
		return err
	}
	defer f.Close()
	return r.followWith(f, job, false)
}

// followWith shows a job until it is done. ^C asks the job to stop at the next
// item and still waits for its report; a second one leaves at once.
func (r *runtime) followWith(f *client.Follower, job dbus.ObjectPath, items bool) error {
	if items {
		if err := r.client.Watch(r.ctx, job); err != nil {
			return err
		}
	}
	bg := context.WithoutCancel(r.ctx)
	ctx, done := context.WithCancel(bg)
	defer done()
	cancelled := context.AfterFunc(r.ctx, func() { r.client.Cancel(bg, job) })
	defer cancelled()

	p, err := r.client.Job(ctx, job)
	if err != nil {
		return err
	}
	bar := newBar(r)
	defer bar.clear()
	if items && p.Str("State") == "done" {
		r.showPast(ctx, f, job)
	}
	for p.Str("State") != "done" {
		s, err := f.Next(ctx)
		if err != nil {
			return err
		}
		if s.Gone() {
			return client.ErrGone
		}
		if s.Path != job {
			continue
		}
		if short, changed, ok := s.Changed(); ok && short == "Job" {
			for k, v := range changed {
				p[k] = v
			}
			bar.show(p)
		}
		if s.Member == "Items" {
			bar.clear()
			r.showItems(s)
		}
	}
	bar.clear()
	// The last Items signal was sent before the job was done.
	_, report, err := r.client.Wait(ctx, job)
	if err != nil {
		return err
	}
	return r.finish(job, report)
}

// showPast shows the items of a job that was done before it was watched: they were
// sent before the watch was confirmed, and are here at once.
func (r *runtime) showPast(ctx context.Context, f *client.Follower, job dbus.ObjectPath) {
	ctx, done := context.WithTimeout(ctx, time.Second)
	defer done()
	for {
		s, err := f.Next(ctx)
		if err != nil {
			return
		}
		if s.Path == job && s.Member == "Items" {
			r.showItems(s)
			return
		}
	}
}

func (r *runtime) showItems(s client.Signal) {
	if len(s.Body) < 2 {
		return
	}
	var list []struct{ Action, Member, Item string }
	if dbus.Store(s.Body[:1], &list) != nil {
		return
	}
	for _, i := range list {
		if r.json {
			r.line(map[string]any{"action": i.Action, "member": i.Member, "item": i.Item})
		} else {
			say(r.out, "%-8s %s  %s", i.Action, printable(i.Member), printable(i.Item))
		}
	}
	if n, _ := s.Body[1].(uint32); n > 0 && !r.json {
		say(r.out, "… and %d more", n)
	}
}

// finish prints the report of a job and settles the exit code.
func (r *runtime) finish(job dbus.ObjectPath, report client.Props) error {
	result := report.Str("result")
	switch result {
	case "success", "skipped":
		r.code = exitSuccess
	case "partial":
		r.code = exitPartial
	default:
		r.code = exitFailed
	}
	if name := report.Str("error-name"); name != "" && r.code != exitSuccess {
		if code := codeOf(&client.Error{Name: name}); code == exitPerson {
			r.code = code
		}
	}
	if r.json {
		return r.line(report.Plain())
	}
	for _, l := range report.Strs("lines") {
		say(r.out, "%s", printable(l))
	}
	text := result + ": " + counts(report)
	if kind := report.Str("kind"); kind != "sync" && kind != "import" && result != "skipped" {
		text = result
	}
	if m := report.Str("error-message"); m != "" {
		text += "; " + printable(m)
	}
	say(r.out, "%s", text)
	if a := remedy[strings.TrimPrefix(report.Str("error-name"), client.Name+".Error.")]; a != "" {
		say(r.out, "%s", a)
	}
	if report.Int("conflicts") > 0 {
		say(r.out, "Items changed in two ways are left as they are: davbus conflicts")
	}
	if report.Int("held") > 0 {
		say(r.out, "Deletions are held until you say so: davbus held")
	}
	if report.Int("failed") > 0 {
		say(r.out, "Some items could not be synced: davbus problems")
	}
	return nil
}

// remedy says what a person types after an error, by its name.
var remedy = map[string]string{
	"AuthRequired":  "Give the password: davbus login ACCOUNT",
	"AuthFailed":    "Give another password: davbus login ACCOUNT; or correct the user name: davbus account set ACCOUNT username=NAME",
	"SecretLocked":  "Unlock the keyring, or give the password for this session: davbus login --session ACCOUNT",
	"CertUntrusted": "Look at the certificate and decide: davbus agent",
}

// A bar shows one line of progress on a terminal, and elsewhere a plain line
// for each phase.
type bar struct {
	terminal bool
	quiet    bool
	phase    string
	drawn    bool
}

func newBar(r *runtime) *bar {
	fd := int(os.Stderr.Fd())
	return &bar{terminal: isTerminal(fd) && r.out == os.Stdout, quiet: r.json}
}

func (b *bar) show(p client.Props) {
	if b.quiet {
		return
	}
	phase, percent := p.Str("Phase"), p.Int("Percent")
	if !b.terminal {
		if phase != b.phase && phase != "" {
			b.phase = phase
			say(os.Stderr, "%s", phase)
		}
		return
	}
	const width = 30
	fill := int(max(percent, 0)) * width / 100
	line := make([]byte, width)
	for i := range line {
		line[i] = ' '
		if i < fill {
			line[i] = '#'
		}
	}
	text := "   "
	if percent >= 0 {
		text = fmt.Sprintf("%3d %%", percent)
	}
	fmt.Fprintf(os.Stderr, "\r\x1b[K[%s] %s  %-8s %d of %d", line, text, phase, p.Int("ItemsDone"), p.Int("ItemsTotal"))
	b.drawn = true
}

func (b *bar) clear() {
	if b.drawn {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
		b.drawn = false
	}
}
