package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"davbus.org/davbus/dbusapi/client"
)

// A sync, from the call to its report.
func Example() {
	ctx := context.Background()
	c, err := client.Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	job, err := c.Sync(ctx, "home", client.SyncOptions{})
	if client.HasName(err, "NotFound") {
		log.Fatal("there is no group of that name; davbus status lists those that are there")
	}
	if err != nil {
		log.Fatal(err)
	}
	result, report, err := c.Wait(ctx, job)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result, report.Int("added"), "added")
}

// A new account: described, added, given its password, tried.
func ExampleClient_AddAccount() {
	ctx := context.Background()
	c, err := client.Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	parameters, err := c.Parameters(ctx, "dav")
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range parameters { // what a dialog asks for
		fmt.Println(p.Str("name"), p.Bool("required"), p.Str("summary"))
	}
	_, err = c.AddAccount(ctx, "work", "dav", client.Options{"url": "https://dav.example.org/", "username": "alice"}, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := c.SetSecret(ctx, "work", "password", []byte("in memory only"), client.Options{"store": "session"}); err != nil {
		log.Fatal(err)
	}
	job, err := c.Check(ctx, "work")
	if err != nil {
		log.Fatal(err)
	}
	if result, report, err := c.Wait(ctx, job); err != nil || result != "success" {
		log.Fatal(result, report.Str("error-message"), err)
	}
}

// A progress bar: listen first, then look, then act.
func ExampleClient_Follow() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := client.Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	signals, err := c.Follow(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer signals.Close()
	objects, err := c.Objects(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for path, group := range client.Each(objects, "Group") {
		fmt.Println(path, group.Str("State"), group.Time("LastSuccessUSec"))
	}
	for {
		s, err := signals.Next(ctx)
		if err != nil {
			log.Fatal(err)
		}
		if short, values, ok := s.Changed(); ok && short == "Job" {
			fmt.Println(s.Path, values.Int("Percent"), "%")
		}
		if s.Member == "JobRemoved" {
			return
		}
	}
}

// Open conflicts, each settled for the server's side.
func ExampleClient_Resolve() {
	ctx := context.Background()
	c, err := client.Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	conflicts, err := c.Conflicts(ctx, "home")
	if err != nil {
		log.Fatal(err)
	}
	for _, conflict := range conflicts {
		job, err := c.Resolve(ctx, conflict.Str("Id"), "member:"+conflict.Strs("Members")[0])
		if err != nil {
			log.Fatal(err)
		}
		if _, _, err := c.Wait(ctx, job); err != nil {
			log.Fatal(err)
		}
	}
}
