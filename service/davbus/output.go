package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"davbus.org/davbus/dbusapi/client"
)

// document prints one JSON document.
func (r *runtime) document(v any) error {
	e := json.NewEncoder(r.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// line prints one JSON object on a line of its own.
func (r *runtime) line(v any) error { return json.NewEncoder(r.out).Encode(v) }

// list prints rows for people, or the properties behind them as JSON.
func (r *runtime) list(head []string, rows [][]string, plain []map[string]any, none string) error {
	if r.json {
		if plain == nil {
			plain = []map[string]any{}
		}
		return r.document(plain)
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(r.out, none)
		return err
	}
	w := tabwriter.NewWriter(r.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(head, "\t"))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// printable takes out what could move a terminal's cursor: names come from
// servers.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x20 || c >= 0x7f && c < 0xa0 {
			return '\uFFFD'
		}
		return c
	}, s)
}

func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := time.Since(t)
	switch {
	case d < 0:
		return t.Local().Format("15:04:05")
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 24*time.Hour:
		return t.Local().Format("15:04")
	}
	return t.Local().Format("2006-01-02 15:04")
}

// counts says in words what a report counts.
func counts(p client.Props) string {
	var parts []string
	for _, name := range []string{"added", "modified", "removed", "merged", "conflicts", "held", "failed"} {
		if n := p.Int(name); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, name))
		}
	}
	if len(parts) == 0 {
		if result := p.Str("result"); result != "success" && result != "skipped" {
			return "nothing was done"
		}
		return "nothing to do"
	}
	return strings.Join(parts, ", ")
}

func say(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, format+"\n", args...)
}

// A fact is a property and what a person calls it.
type fact struct{ label, property string }

// facts prints properties one a line, those that say nothing left out.
func (r *runtime) facts(p client.Props, all []fact) {
	plain := p.Plain()
	for _, f := range all {
		text := fmt.Sprint(plain[f.property])
		switch v := plain[f.property].(type) {
		case []string:
			text = strings.Join(v, " ")
		case bool:
			text = map[bool]string{true: "yes", false: "no"}[v]
		case uint64: // a time
			text = when(p.Time(f.property))
		}
		if text != "" {
			say(r.out, "%s: %s", f.label, printable(text))
		}
	}
}
