package check

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/transports/call"
)

const unknownMethod = "no_such_method"

func (c *checker) unknownMethod(ctx context.Context) error {
	err := c.conn.Call(ctx, unknownMethod, struct{}{}, nil)
	if err == nil {
		return errors.New("it answered as if it knew the method")
	}
	e, ok := errors.AsType[*call.Error](err)
	if !ok {
		return err
	}
	if e.ErrorName() != "not-supported" {
		return fmt.Errorf(`the error's name is %q; it must be "not-supported", or its code -32601`, e.ErrorName())
	}
	return nil
}

// cancelled breaks a call off and makes another, whose answer must be its own.
func (c *checker) cancelled(ctx context.Context, found []engine.Collection) error {
	if len(found) == 0 {
		return nil
	}
	broken, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	// Stream 0 is nobody's: what comes of it is passed over.
	params := map[string]any{"collection": found[0].Name, "stream": 0}
	_ = c.conn.Call(broken, "get_changes", params, nil)
	var answer struct{ Collections []any }
	if err := c.conn.Call(ctx, "discover", struct{}{}, &answer); err != nil {
		return err
	}
	if len(answer.Collections) != len(found) {
		return fmt.Errorf("afterwards discover told %d collections, and %d before", len(answer.Collections), len(found))
	}
	return nil
}

func (c *checker) ends() error {
	begun := time.Now()
	if err := c.source.Close(); err != nil {
		return err
	}
	if took := time.Since(begun); took >= 2*time.Second {
		return fmt.Errorf("it had to be killed after %v", took.Round(time.Second))
	}
	return nil
}

// garbage is what no plugin should be sent, each line to a plugin of its own.
var garbage = []string{
	"nonsense",
	"[]",
	"{}",
	`{"jsonrpc":"2.0","id":77,"result":{}}`,
	`{"jsonrpc":"2.0","method":"$/no_such_notification","params":{}}`,
	`{"jsonrpc":"2.0","id":1,"method":"get_changes","params":{"collection":"no such collection","stream":1}}`,
}

// garbage sends nonsense. The plugin may end, or say what is wrong, or pass it over.
func (c *checker) garbage(ctx context.Context) error {
	for _, line := range garbage {
		if err := c.sends(ctx, line); err != nil {
			return fmt.Errorf("after the line %s: %w", line, err)
		}
	}
	return nil
}

func (c *checker) sends(ctx context.Context, line string) error {
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.opt.Argv[0], c.opt.Argv[1:]...)
	cmd.Env, cmd.Dir = c.opt.Env, cmp.Or(c.opt.dir, "/")
	cmd.WaitDelay = time.Second
	cmd.Stdin = strings.NewReader(line + "\n")
	var out strings.Builder
	cmd.Stdout = &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("it did not end within %v of the end of its standard input", c.opt.Timeout)
	}
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		return err
	}
	for in := bufio.NewReader(strings.NewReader(out.String())); ; {
		said, err := in.ReadString('\n')
		if err == io.EOF && said == "" {
			return nil
		}
		var object struct {
			Version string `json:"jsonrpc"`
		}
		if json.Unmarshal([]byte(said), &object) != nil || object.Version != "2.0" {
			return fmt.Errorf("it wrote a line that is no JSON-RPC 2.0: %.200q", said)
		}
	}
}
