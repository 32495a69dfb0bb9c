// Package plugin is for authors of storage plugins in Go: it serves any storage
// to davbus over standard input and output, or over a socket. The protocol is
// written down in davbus-plugin(7); authors in other languages need only that.
//
//	func main() {
//		plugin.Main("example", func(p engine.Params) (engine.Source, error) { … })
//	}
package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/storage/remote"
	"davbus.org/davbus/transports/call"
)

// Serve serves a source on one connection until davbus ends it. open is called
// once, with the parameters of the account. A source that notices changes by
// itself has davbus sync.
func Serve(stream io.ReadWriteCloser, name string, open func(engine.Params) (engine.Source, error)) error {
	watching, stop := context.WithCancel(context.Background())
	var watches sync.WaitGroup
	ready := make(chan struct{})
	var peer *call.Peer
	server := remote.NewServer(name, func(p engine.Params) (engine.Source, error) {
		source, err := open(p)
		if w, ok := source.(engine.Watcher); ok && err == nil {
			watches.Go(func() { watch(watching, w, peer) })
		}
		return source, err
	})
	peer = call.Start(stream, call.Options{Limit: call.MaxData, Notify: func(method string, params json.RawMessage) {
		server.Notify(method, params)
	}, Handle: func(ctx context.Context, method string, params json.RawMessage) (any, error) {
		<-ready
		answer, err := server.Handle(ctx, peer, method, params)
		if err != nil {
			return nil, call.Named(remote.NameOf(err), "%s", err)
		}
		return answer, nil
	}})
	close(ready)
	<-peer.Done()
	peer.Close()
	stop()
	watches.Wait()
	err := server.Close()
	if e := peer.Err(); !errors.Is(e, io.EOF) && !errors.Is(e, call.ErrClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// watch has davbus sync when something moved. What moves while it is asked is one
// more question.
func watch(ctx context.Context, w engine.Watcher, peer *call.Peer) {
	moved := make(chan struct{}, 1)
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-moved:
				// It may not sync this account, or be about to end.
				_ = peer.Call(ctx, "request_sync", struct{}{}, nil, nil)
			}
		}
	})
	_ = w.Watch(ctx, func(string) { // what cannot be watched is synced at its interval
		select {
		case moved <- struct{}{}:
		default:
		}
	})
	asking.Wait()
}

// stdio is standard input and output as one stream.
type stdio struct {
	io.Reader
	io.Writer
}

func (stdio) Close() error { return errors.Join(os.Stdin.Close(), os.Stdout.Close()) }

// Main serves a source on standard input and output, and ends the program.
func Main(name string, open func(engine.Params) (engine.Source, error)) {
	if err := Serve(stdio{os.Stdin, os.Stdout}, name, open); err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}
