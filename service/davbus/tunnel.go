package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
)

type tunnelCmd struct {
	Offer tunnelOfferCmd `cmd:"" help:"Let other programs of this user reach a service, until ^C."`
	Take  tunnelTakeCmd  `cmd:"" help:"Make a socket that leads to an offered service, and print its path."`
	List  tunnelListCmd  `cmd:"" help:"What is offered under public names."`
}

type tunnelOfferCmd struct {
	Name    string   `arg:"" help:"The name that others take it by: a-z 0-9 - and dots."`
	Service string   `arg:"" help:"What it speaks, as in DNS-SD: http, caldav, rfb."`
	Target  string   `arg:"" help:"unix:PATH or tcp:127.0.0.1:PORT."`
	Private bool     `help:"Do not list the name; print a designator that cannot be guessed instead."`
	Param   []string `sep:"none" placeholder:"NAME=VALUE" help:"Something to tell whoever takes it, never a password; may be repeated."`
}

// Run offers and tells of connections as they come.
func (c *tunnelOfferCmd) Run(r *runtime) error {
	parameters := client.Options{}
	for _, word := range c.Param {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return usageError(fmt.Sprintf("%q is not NAME=VALUE", word))
		}
		parameters[name] = value
	}
	f, err := r.client.Follow(r.ctx)
	if err != nil {
		return err
	}
	defer f.Close()
	designator, err := r.client.Register(r.ctx, c.Name, client.Options{"public": !c.Private})
	if err != nil {
		return err
	}
	if err := r.client.Offer(r.ctx, c.Name, c.Service, c.Target, parameters); err != nil {
		return err
	}
	if r.json {
		err = r.line(map[string]any{"name": c.Name, "service": c.Service, "designator": designator})
	} else if c.Private {
		say(r.out, "%s", designator)
	} else {
		say(r.out, "%s", c.Name)
	}
	for err == nil {
		var s client.Signal
		if s, err = f.Next(r.ctx); err == nil && strings.HasPrefix(s.Member, "Tunnel") {
			err = r.tunnelEvent(s)
		}
	}
	if r.ctx.Err() != nil {
		return nil // ^C is how it ends
	}
	return err
}

// tunnelEvent tells of a connection.
func (r *runtime) tunnelEvent(s client.Signal) error {
	if len(s.Body) < 4 {
		return nil
	}
	number, _ := s.Body[2].(uint32)
	what := map[string]any{"signal": s.Member, "service": s.Body[1], "connection": number}
	text := fmt.Sprintf("%d connected", number)
	switch last := s.Body[len(s.Body)-1].(type) {
	case map[string]dbus.Variant:
		what["taker"] = client.Props(last).Plain()
		text += fmt.Sprintf(": process %v", last["pid"].Value())
	case string:
		what["error"] = last
		text = fmt.Sprintf("%d ended", number)
		if last != "" {
			text += ": " + printable(last)
		}
	}
	if r.json {
		return r.line(what)
	}
	say(r.out, "%s", text)
	return nil
}

type tunnelTakeCmd struct {
	Name    string `arg:"" help:"The name, or the designator, of the offer."`
	Service string `arg:"" help:"What it speaks."`
	Wait    bool   `help:"Stay until ^C, and close the socket then. Otherwise it stays until the offer ends."`
}

func (c *tunnelTakeCmd) Run(r *runtime) error {
	f := offerFlags{Wait: c.Wait}
	path, parameters, err := r.client.Take(r.ctx, c.Name, c.Service, client.Options{"keep": f.keep(r)})
	if err != nil {
		return err
	}
	return r.listen(path, f, map[string]any{"parameters": parameters.Plain()})
}

type tunnelListCmd struct{}

func (c *tunnelListCmd) Run(r *runtime) error {
	offers, err := r.client.Offers(r.ctx)
	if err != nil {
		return err
	}
	var rows [][]string
	var plain []map[string]any
	for _, o := range offers {
		var parameters []string
		for name, value := range read(o, "parameters") {
			parameters = append(parameters, fmt.Sprintf("%s=%v", name, value))
		}
		slices.Sort(parameters)
		rows = append(rows, []string{o.Str("name"), o.Str("service"), strings.Join(parameters, " ")})
		plain = append(plain, o.Plain())
	}
	return r.list([]string{"NAME", "SERVICE", "PARAMETERS"}, rows, plain, "Nothing is offered. Offer something: davbus tunnel offer --help")
}
