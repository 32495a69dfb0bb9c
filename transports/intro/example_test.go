package intro_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"davbus.org/davbus/transports/intro"
	"davbus.org/davbus/transports/private"
)

// A viewer waits to be introduced, an editor has itself introduced, and they talk
// over a socket of their own. In a session of the desktop the door is davbusd's,
// at $XDG_RUNTIME_DIR/davbus/intro.
func Example() {
	path, stop := aDoor()
	defer stop()
	ctx := context.Background()

	viewer, err := intro.Dial(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer viewer.Close()
	seen := make(chan struct{})
	viewer.Register(ctx, intro.Name{Name: "viewer", Public: true}, func(a *intro.Arrival) error {
		go func() {
			defer close(seen)
			defer a.Conn.Close()
			text, _ := io.ReadAll(a.Conn)
			fmt.Printf("%s, with %s; it is this user's: %v\n", text, a.Metadata, a.Conn.Cred.UID == uint32(os.Getuid()))
		}()
		return nil
	})

	editor, err := intro.Dial(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer editor.Close()
	conn, err := editor.Introduce(ctx, "viewer", map[string]any{"wants": "updates"}, true)
	if err != nil {
		fmt.Println(err)
		return
	}
	io.WriteString(conn, "hello")
	conn.Close()
	<-seen
	_, err = editor.Introduce(ctx, "nobody", nil, false)
	fmt.Println(err)
	// Output:
	// hello, with {"wants":"updates"}; it is this user's: true
	// nobody has registered "nobody"
}

// aDoor is what davbusd has.
func aDoor() (path string, stop func()) {
	base, err := os.MkdirTemp("", "intro")
	if err != nil {
		panic(err)
	}
	dir, err := private.OpenDir(filepath.Join(base, "davbus"))
	if err != nil {
		panic(err)
	}
	l, err := dir.Listen("intro", private.Options{})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&intro.Door{Listener: l, Broker: intro.NewBroker()}).Serve(ctx)
	}()
	return l.Path(), func() { cancel(); <-done; dir.Close(); os.RemoveAll(base) }
}
