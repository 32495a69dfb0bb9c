package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// A judge finds out whether a mutant is noticed.
type judge struct {
	mutant
	dir     string // for what is made on the way
	overlay string
	spent   time.Duration // of one processor
}

// try gives the test that noticed the mutant.
func (j *judge) try() (by string, err error) {
	if err := j.writeOverlay(); err != nil {
		return "", err
	}
	for _, pkg := range j.tests {
		if by, err = j.noticed(pkg); by != "" || err != nil {
			break
		}
	}
	switch {
	case err != nil:
		return "", err
	case by == "":
		return "", fmt.Errorf("survived the tests of %s", strings.Join(j.tests, " "))
	}
	return by, j.proves()
}

// noticed gives the test of a package that noticed the mutant, if one did.
func (j *judge) noticed(pkg string) (string, error) {
	tests := filepath.Join(j.dir, path.Base(pkg)+".test")
	out, err := j.command(".", "go", "test", "-c", "-o", tests, "-ldflags=-s -w", "-overlay", j.overlay, pkg)
	if err != nil {
		return "", fmt.Errorf("does not compile: %s", out)
	}
	asked := []string{"."}
	if j.by != "" {
		asked = []string{"^" + j.by + "$", "."}
	}
	for _, name := range asked {
		out, err := j.command(pkg, tests, "-test.failfast", "-test.run", name)
		switch failed := failedFirst.FindStringSubmatch(out); {
		case err == nil:
		case failed != nil:
			return failed[1], nil
		case errors.Is(err, context.DeadlineExceeded):
			return "its tests never end", nil
		case strings.Contains(out, "panic: "):
			return "panic", nil
		default:
			return "", fmt.Errorf("no test noticed it, but the tests of %s fail: %s", pkg, out)
		}
	}
	return "", nil
}

var failedFirst = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// writeOverlay writes the changed file and what tells the compiler of it.
func (j *judge) writeOverlay() error {
	if err := os.Mkdir(j.dir, 0o700); err != nil {
		return err
	}
	text, err := os.ReadFile(j.file)
	if err != nil {
		return fmt.Errorf("does not apply: %w", err)
	}
	if n := bytes.Count(text, []byte(j.from)); n != 1 {
		return fmt.Errorf("does not apply: its text stands %d times in %s", n, j.file)
	}
	mutated := filepath.Join(j.dir, filepath.Base(j.file))
	if err := os.WriteFile(mutated, bytes.Replace(text, []byte(j.from), []byte(j.to), 1), 0o600); err != nil {
		return err
	}
	original, err := filepath.Abs(j.file)
	if err != nil {
		return err
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutated}})
	if err != nil {
		return err
	}
	j.overlay = filepath.Join(j.dir, "overlay.json")
	return os.WriteFile(j.overlay, list, 0o600)
}

func (j *judge) command(dir, name string, args ...string) (string, error) {
	out, spent, err := command(limit, dir, name, args...)
	j.spent += spent
	return out, err
}

// command gives context.DeadlineExceeded if it takes longer than limit.
func command(limit time.Duration, dir, name string, args ...string) (out string, spent time.Duration, err error) {
	ctx, stop := context.WithTimeout(context.Background(), limit)
	defer stop()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	if os.Getenv("DAVBUS_STORMS") == "" {
		cmd.Env = append(os.Environ(), "DAVBUS_STORMS=300", "DAVBUS_WORLDS=30000") // what is broken breaks soon
	}
	text, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if cmd.ProcessState != nil {
		spent = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	return string(text), spent, err
}
