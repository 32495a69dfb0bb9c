package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/client"
)

type importCmd struct {
	Collection string  `arg:"" help:"ACCOUNT/COLLECTION."`
	File       string  `arg:"" optional:"" help:"What to import: .ics or .vcf with any number of items, or what export writes; standard input if it is left out." default:"-"`
	Replace    bool    `help:"Delete what is not in the file."`
	DryRun     bool    `help:"Name what would be done; change nothing."`
	Confirm    *uint32 `name:"confirm-deletions" help:"Let exactly so many deletions happen where they would be held." placeholder:"NUMBER"`
}

// maxImport is more than davbusd takes.
const maxImport = 65 << 20

func (c *importCmd) Run(r *runtime) error {
	data, err := readInput(c.File)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	o := client.Options{"replace": c.Replace, "dry-run": c.DryRun, "sha256": hex.EncodeToString(sum[:]), "size": uint64(len(data))}
	if c.Confirm != nil {
		o["confirm-deletions"] = *c.Confirm
	}
	path, err := r.client.Open(r.ctx, c.Collection, "Collection.Import", o)
	if err != nil {
		return err
	}
	f, err := r.client.Follow(r.ctx)
	if err != nil {
		return err
	}
	defer f.Close()
	socket, err := r.connect(path, nil)
	if err != nil {
		return err
	}
	defer socket.Close()
	if _, err := socket.Write(data); err != nil {
		return r.why(f, path, err)
	}
	if err := socket.CloseWrite(); err != nil {
		return err
	}
	job, err := r.jobOf(f, path)
	if err != nil {
		return err
	}
	_, report, err := r.client.Wait(r.ctx, job)
	if err != nil {
		return err
	}
	return r.finish(job, report)
}

func readInput(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(os.Stdin, maxImport))
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxImport))
}

// jobOf waits until an import became a job, or was refused.
func (r *runtime) jobOf(f *client.Follower, path dbus.ObjectPath) (dbus.ObjectPath, error) {
	for {
		s, err := f.Next(r.ctx)
		if err != nil {
			return "", err
		}
		if s.Gone() {
			return "", client.ErrGone
		}
		if s.Path != path {
			continue
		}
		if _, changed, ok := s.Changed(); ok {
			if job, _ := changed["Job"].Value().(dbus.ObjectPath); job != "" && job != "/" {
				return job, nil
			}
		}
		if err := disconnected(s); err != nil {
			return "", err
		}
	}
}

// why finds out why an import does not take any more.
func (r *runtime) why(f *client.Follower, path dbus.ObjectPath, otherwise error) error {
	if _, err := r.jobOf(f, path); err != nil {
		return err
	}
	return otherwise
}

// disconnected is the error that the end of a connection told, if this is it.
func disconnected(s client.Signal) error {
	if s.Member != "Disconnected" || len(s.Body) < 3 {
		return nil
	}
	name, _ := s.Body[1].(string)
	text, _ := s.Body[2].(string)
	if name == "" {
		return nil
	}
	return &client.Error{Name: name, Message: text}
}
