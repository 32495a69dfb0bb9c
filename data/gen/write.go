package main

import (
	"bytes"
	"fmt"
	"strings"
)

// head is what the page says before the first interface.
const head = `davbus-dbus(5)

# NAME

davbus-dbus - the D-Bus interface of davbus, member by member

# DESCRIPTION

*davbusd*(8) owns the name _org.davbus.Sync1_ on the session bus. Its objects lie below
_/org/davbus/Sync1_, which is an object manager; the installed files
_org.davbus.\*.xml_ in _dbus-1/interfaces_ are the contract and this page is made of them.

/org/davbus/Sync1
	Manager, Shell, Control, PluginManager, Introducer

/org/davbus/Sync1/account/_ID_
	Account

/org/davbus/Sync1/account/_ID_/_COLLECTION_
	Collection

/org/davbus/Sync1/group/_ID_
	Group

/org/davbus/Sync1/job/_NUMBER_
	Job; it stays for at least 30 seconds after its end

/org/davbus/Sync1/conflict/_ID_
	Conflict

/org/davbus/Sync1/plugin/_ID_
	Plugin

/org/davbus/Sync1/stream/_NUMBER_
	Stream

/org/freedesktop/LogControl1
	org.freedesktop.LogControl1, for *systemctl --user service-log-level davbus debug*

Types are written as on the wire: *b* boolean, *i* and *u* numbers of 32 bits, *t* a number of 64
bits, *s* text, *o* the path of an object, *h* a descriptor, *as* and *ao* lists, *a{sv}* named values.
A name that ends in USec is a time in microseconds since 1970, UTC, 0 for never; one that ends in
Sec is in seconds, in Ms in milliseconds, in Bytes in bytes. Keys of options that are not known
are refused, except those that begin with "x-". In the order of the bus, what a call changed is
announced before its reply: PropertiesChanged, InterfacesAdded, JobNew, reply; at the end of a job
its last PropertiesChanged, Completed, JobRemoved. Besides the errors that are named, every method
may answer with those of the D-Bus specification for an object, interface, method or argument
that is not there, and with Internal.
`

const foot = `
# SEE ALSO

*davbus*(1), *davbusd*(8), *davbus-config*(5), *davbus-plugin*(7), *busctl*(1), *gdbus*(1)
`

// width is where lines are broken.
const width = 96

// A printer writes scdoc's format.
type printer struct{ bytes.Buffer }

func write(all []document) []byte {
	var p printer
	p.WriteString(head)
	catalogue := ""
	for _, d := range all {
		p.document(d)
		catalogue += d.catalogue
	}
	p.catalogue(catalogue)
	p.WriteString(foot)
	return p.Bytes()
}

func (p *printer) document(d document) {
	fmt.Fprintf(p, "\n# %s\n", strings.ToUpper(strings.TrimPrefix(d.name, "org.davbus.")))
	p.text("", "*"+d.name+"*: "+plain(d.short)+".")
	for _, s := range d.about.paragraphs {
		p.text("", plain(s))
	}
	p.members("Properties", d.properties, func(m member) string {
		how := map[string]string{"read": "", "readwrite": ", may be set"}[m.access]
		how += map[string]string{"const": ", never changes", "false": ", changes without a signal"}[m.announced]
		return fmt.Sprintf("*%s* (%s%s)", m.name, m.typ, how)
	})
	p.members("Methods", d.methods, func(m member) string {
		out := ""
		if len(m.out) > 0 {
			out = " → (" + arguments(m.out) + ")"
		}
		return fmt.Sprintf("*%s*(%s)%s", m.name, arguments(m.in), out)
	})
	p.members("Signals", d.signals, func(m member) string { return fmt.Sprintf("*%s*(%s)", m.name, arguments(m.out)) })
}

func (p *printer) members(title string, list []member, line func(member) string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(p, "\n## %s\n", title)
	for _, m := range list {
		fmt.Fprintf(p, "\n%s\n", line(m))
		for i, s := range m.about.paragraphs {
			if i > 0 {
				p.WriteString("\n")
			}
			p.lines("\t", plain(s))
		}
		for _, a := range append(append([]argument{}, m.in...), m.out...) {
			p.WriteString("\n")
			p.lines("\t", "_"+plain(a.name)+"_: "+plain(m.about.args[a.name]))
		}
		if len(m.about.errors) > 0 {
			p.WriteString("\n")
			p.lines("\t", "Errors: "+plain(strings.Join(m.about.errors, ", "))+".")
		}
	}
}

func arguments(list []argument) string {
	var out []string
	for _, a := range list {
		out = append(out, a.typ+" _"+plain(a.name)+"_")
	}
	return strings.Join(out, ", ")
}

// catalogue writes the names of errors, of lines "NAME  what it means" below
// the prefix that they share.
func (p *printer) catalogue(text string) {
	p.WriteString("\n# ERRORS\n")
	prefix := ""
	for _, line := range strings.Split(text, "\n") {
		name, meaning, ok := strings.Cut(strings.TrimSpace(line), "  ")
		switch {
		case strings.HasSuffix(strings.TrimSpace(line), ".Error."):
			prefix = strings.TrimSpace(line)
		case ok && prefix != "":
			fmt.Fprintf(p, "\n*%s*\n", plain(prefix+name))
			p.lines("\t", plain(strings.TrimSpace(meaning))+".")
		}
	}
}

// text writes a paragraph.
func (p *printer) text(indent, s string) {
	p.WriteString("\n")
	p.lines(indent, s)
}

// lines breaks a paragraph into lines.
func (p *printer) lines(indent, s string) {
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && len(line)+1+len(word) > width {
			p.WriteString(indent + line + "\n")
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	p.WriteString(indent + line + "\n")
}

// plain keeps scdoc from reading its marks in a text.
func plain(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "#", `\#`, "`", "\\`").Replace(s)
}
