package group

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
)

// commandTime is how long a conflict command may take: it may ask a person.
const commandTime = 15 * time.Minute

// command lets a program settle a dispute. It gets a file for each text and
// settles by making all of them equal and ending with status 0; with another
// status the conflict stays. DAVBUS_BASE names a file with the agreed text.
func (r *run) command(ctx context.Context, q *dispute) ([]byte, error) {
	fail := func(err error) error {
		return engine.Fail(engine.InvalidConfig, "settle conflict", string(q.row.UID), "the conflict command: %w", err)
	}
	if len(r.rules.Command) == 0 {
		return nil, engine.Fail(engine.InvalidConfig, "settle conflict", string(q.row.UID), "no conflict command is set")
	}
	dir, err := os.MkdirTemp("", "davbus-conflict-")
	if err != nil {
		return nil, fail(err)
	}
	defer os.RemoveAll(dir)
	var files []string
	for i, c := range q.candidates() {
		file := filepath.Join(dir, strconv.Itoa(i+1)+extension(c.text))
		if err := os.WriteFile(file, c.text, 0o600); err != nil {
			return nil, fail(err)
		}
		files = append(files, file)
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.rules.Command[0], append(r.rules.Command[1:len(r.rules.Command):len(r.rules.Command)], files...)...)
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = os.Environ()
	if q.agreed != nil {
		base := filepath.Join(dir, "base"+extension(q.agreed))
		if err := os.WriteFile(base, q.agreed, 0o600); err != nil {
			return nil, fail(err)
		}
		cmd.Env = append(cmd.Env, "DAVBUS_BASE="+base)
	}
	if err := cmd.Run(); err != nil {
		if _, ended := err.(*exec.ExitError); ended {
			return nil, nil
		}
		return nil, fail(err)
	}
	return settled(files, q.row.UID)
}

func extension(text []byte) string {
	if item.Read(text).Kind == engine.AddressBook {
		return ".vcf"
	}
	return ".ics"
}

// settled gives the text that all files hold; nil if they do not, or if it is
// not the item.
func settled(files []string, uid engine.UID) ([]byte, error) {
	var text []byte
	for i, file := range files {
		got, err := os.ReadFile(file)
		if err != nil || i > 0 && !bytes.Equal(got, text) {
			return nil, nil
		}
		text = got
	}
	if info := item.Read(text); !info.Parsed || info.UID != uid {
		return nil, nil
	}
	return text, nil
}
