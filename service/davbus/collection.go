package main

import (
	"strings"

	"davbus.org/davbus/dbusapi/client"
)

type collectionCmd struct {
	List collectionListCmd `cmd:"" help:"List the calendars and address books."`
	Add  collectionAddCmd  `cmd:"" help:"Make a new calendar or address book."`
	Set  collectionSetCmd  `cmd:"" help:"Change name, colour, description or order, here and in the other members."`
}

type collectionListCmd struct {
	Account string `arg:"" optional:"" help:"Only those of this account."`
}

func (c *collectionListCmd) Run(r *runtime) error {
	if c.Account != "" {
		if _, err := r.client.Account(r.ctx, c.Account); err != nil {
			return err
		}
	}
	objects, err := r.client.Objects(r.ctx)
	if err != nil {
		return err
	}
	var rows [][]string
	var plain []map[string]any
	for path, p := range client.Each(objects, "Collection") {
		if c.Account != "" && p.Path("Account") != client.AccountPath(c.Account) {
			continue
		}
		rows = append(rows, collectionRow(client.IDOf(path), p))
		object := p.Plain()
		object["path"] = path
		plain = append(plain, object)
	}
	return r.list(collectionHead, rows, plain, "There are no collections; 'davbus account discover ACCOUNT' looks for them.")
}

var collectionHead = []string{"COLLECTION", "KIND", "ITEMS", "NAME", "COLOUR", "GROUPS", "LAST SUCCESS", "WHERE"}

func collectionRow(id string, p client.Props) []string {
	where := p.Str("FolderPath")
	if where == "" {
		where = p.Str("Url")
	}
	var groups []string
	for _, g := range p.Paths("Groups") {
		groups = append(groups, client.IDOf(g))
	}
	kind := p.Str("Kind")
	if !p.Bool("Writable") {
		kind += ", read-only"
	}
	return []string{id, kind, number(p, "ItemCount"), p.Str("DisplayName"), p.Str("Color"), strings.Join(groups, " "), when(p.Time("LastSuccessUSec")), where}
}

type collectionAddCmd struct {
	Collection  string   `arg:"" help:"ACCOUNT/COLLECTION."`
	Kind        string   `arg:"" enum:"calendar,addressbook" help:"calendar or addressbook."`
	Name        string   `help:"A name for people."`
	Color       string   `help:"#RRGGBB."`
	Description string   `help:"What it is for."`
	Component   []string `sep:"none" help:"What a calendar takes: VEVENT, VTODO, VJOURNAL. May be given more than once."`
}

func (c *collectionAddCmd) Run(r *runtime) error {
	account, id, ok := strings.Cut(c.Collection, "/")
	if !ok {
		return usageError(c.Collection + " is not ACCOUNT/COLLECTION")
	}
	o := client.Options{}
	for name, value := range map[string]string{"display-name": c.Name, "color": c.Color, "description": c.Description} {
		if value != "" {
			o[name] = value
		}
	}
	if len(c.Component) > 0 {
		o["components"] = c.Component
	}
	path, err := r.client.CreateCollection(r.ctx, account, id, c.Kind, o)
	if err != nil {
		return err
	}
	if r.json {
		return r.document(map[string]any{"collection": client.IDOf(path), "path": path})
	}
	say(r.out, "Made %s.", printable(client.IDOf(path)))
	var name string
	if err := r.client.Get(r.ctx, path, client.Name+".Collection", "DisplayName", &name); err != nil {
		return err
	}
	if name != c.Name {
		say(r.out, "Its name is not kept there; a folder keeps names with the parameter write-displayname=true.")
	}
	return nil
}

type collectionSetCmd struct {
	Collection string   `arg:"" help:"ACCOUNT/COLLECTION."`
	Settings   []string `arg:"" name:"setting" help:"display-name=, color=, description= or order=VALUE; NAME= alone takes it away."`
}

func (c *collectionSetCmd) Run(r *runtime) error {
	set, unset, err := settings("a collection", map[string]string{"display-name": "s", "color": "s", "description": "s", "order": "i"}, c.Settings)
	if err != nil {
		return err
	}
	job, err := r.client.UpdateCollection(r.ctx, c.Collection, set, unset)
	if err != nil {
		return err
	}
	result, report, err := r.client.Wait(r.ctx, job)
	if err != nil || result == "success" && !r.json {
		return err
	}
	return r.finish(job, report)
}
