// Command demo shows the main job of davbus, with the built programs, on a
// message bus: a server on TCP and on a Unix socket, a folder, and edits that
// arrive on either side. What it says it has seen it has checked by itself, in
// the server's memory and in the files; otherwise it fails. It leaves nothing
// behind. It is what `make demo` runs.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	bin := flag.String("bin", "bin", "folder with the built davbus and davbusd")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(demo(ctx, *bin))
}

func demo(ctx context.Context, bin string) (code int) {
	began := time.Now()
	s, err := newStage(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo: cannot begin:", err)
		return 1
	}
	defer func() {
		r := recover()
		if f, ok := r.(failure); ok {
			s.failed(string(f))
			code, r = 1, nil
		}
		left := s.clear()
		switch {
		case r != nil:
			panic(r)
		case left != "":
			fmt.Fprintln(os.Stderr, "demo: left behind:", left)
			code = 1
		case code == 0:
			fmt.Printf("\nAll of it was observed, in %.1f seconds. Nothing is left behind.\n", time.Since(began).Seconds())
		}
	}()
	full, err := filepath.Abs(bin)
	if err != nil {
		s.Fatalf("%v", err)
	}
	p := newPlay(s, full)
	p.firstSync()
	p.tree()
	p.editOnServer()
	p.editInFolder()
	p.deletions()
	p.conflict()
	p.script()
	p.goodbye()
	return 0
}
