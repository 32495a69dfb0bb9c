package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"davbus.org/davbus/dbusapi/client"
)

type watchCmd struct {
	What string `arg:"" optional:"" help:"Only what concerns this account, collection or group."`
}

func (c *watchCmd) Run(r *runtime) error {
	f, err := r.client.Follow(r.ctx)
	if err != nil {
		return err
	}
	defer f.Close()
	only := string(client.Root)
	if c.What != "" {
		path, err := r.client.Lookup(r.ctx, c.What)
		if err != nil {
			return err
		}
		only = string(path)
	} else if _, err := r.client.Manager(r.ctx); err != nil {
		return err // nobody to listen to
	}
	for {
		s, err := f.Next(r.ctx)
		if r.ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if string(s.Path) != only && !strings.HasPrefix(string(s.Path), only+"/") {
			continue
		}
		if err := r.showSignal(s); err != nil {
			return err
		}
	}
}

func (r *runtime) showSignal(s client.Signal) error {
	if r.json {
		return r.line(map[string]any{"time": time.Now().Format(time.RFC3339Nano), "path": s.Path, "signal": s.Name, "arguments": s.Plain()})
	}
	name := strings.TrimPrefix(string(s.Path), string(client.Root))
	if id := client.IDOf(s.Path); id != "" {
		name = id
	}
	if name == "" {
		name = "davbus"
	}
	text := s.Member
	if _, changed, ok := s.Changed(); ok {
		var parts []string
		plain := changed.Plain()
		for _, key := range slices.Sorted(maps.Keys(plain)) {
			parts = append(parts, key+"="+compact(plain[key]))
		}
		text = strings.Join(parts, " ")
	} else {
		for _, v := range s.Plain() {
			text += " " + compact(v)
		}
	}
	say(r.out, "%s %s: %s", time.Now().Format("15:04:05.000"), printable(name), printable(text))
	return nil
}

func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(b)
}
