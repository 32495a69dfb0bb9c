package intro

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"davbus.org/davbus/transports/call"
	"davbus.org/davbus/transports/private"
)

// An Arrival is a socket that somebody introduced.
type Arrival struct {
	Name     string // that was asked for
	Metadata json.RawMessage
	Sender   Sender        // on the word of the kernel and the daemon
	Conn     *private.Conn // its Cred is who holds the other end; both have met
}

// A Client is a program at one [Door]. It may be used by several goroutines.
type Client struct {
	peer *call.Peer

	mu    sync.Mutex
	takes map[string]func(*Arrival) error // by designator and public name
	names map[string][]string             // which of these a registered name has
}

// Dial connects to a door, after making sure that this user, or root, listens
// there.
func Dial(path string) (*Client, error) {
	sock, err := private.Dial(path)
	if err != nil {
		return nil, err
	}
	c := &Client{takes: map[string]func(*Arrival) error{}, names: map[string][]string{}}
	c.peer = call.Start(private.NewFileConn(sock), call.Options{Strict: true, Handle: c.handle})
	return c, nil
}

// Close leaves: what was registered ends, who was introduced stays connected.
func (c *Client) Close() error { return c.peer.Close() }

// Done is closed when the door has closed; Err tells why.
func (c *Client) Done() <-chan struct{} { return c.peer.Done() }

// Err is nil while the connection stands.
func (c *Client) Err() error { return c.peer.Err() }

// Register has take called for each socket that is introduced to the name, on a
// goroutine of its own, which should not talk yet: until take is back the other
// side waits. An error refuses the socket and closes it. The designator cannot be
// guessed; whoever is told it may introduce somebody.
func (c *Client) Register(ctx context.Context, n Name, take func(*Arrival) error) (designator string, err error) {
	var got struct {
		Designator string `json:"designator"`
	}
	// An introduction may come before the answer: it waits for this.
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.call(ctx, "register", n, &got); err != nil {
		return "", err
	}
	c.takes[got.Designator] = take
	c.names[n.Name] = []string{got.Designator}
	if n.Public {
		c.takes[n.Name] = take
		c.names[n.Name] = append(c.names[n.Name], n.Name)
	}
	return got.Designator, nil
}

// Unregister undoes Register.
func (c *Client) Unregister(ctx context.Context, name string) error {
	if err := c.call(ctx, "unregister", Name{Name: name}, nil); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.names[name] {
		delete(c.takes, n)
	}
	delete(c.names, name)
	return nil
}

// Introduce makes a pair of sockets, has one end introduced to a designator or a
// public name, and gives the other when both ends have met. Metadata must fit
// into 4096 bytes of JSON. With wait it waits up to 30 s for the name to be
// registered.
func (c *Client) Introduce(ctx context.Context, name string, metadata any, wait bool) (*private.Conn, error) {
	raw, err := json.Marshal(metadata)
	if err != nil {
		return nil, err
	}
	mine, theirs, err := Pair()
	if err != nil {
		return nil, err
	}
	if err = Greet(mine); err == nil {
		err = converted(c.peer.CallFiles(ctx, "introduce", introduce{name, raw, wait}, nil, theirs))
	} else {
		theirs.Close()
	}
	if err != nil {
		mine.Close()
		return nil, err
	}
	return Met(mine)
}

// Names lists the public names.
func (c *Client) Names(ctx context.Context) ([]string, error) {
	var got struct {
		Names []string `json:"names"`
	}
	err := c.call(ctx, "names", struct{}{}, &got)
	return got.Names, err
}

func (c *Client) call(ctx context.Context, method string, params, result any) error {
	return converted(c.peer.Call(ctx, method, params, result, nil))
}

// converted gives an error its name back.
func converted(err error) error {
	if e, ok := errors.AsType[*call.Error](err); ok && e.Name != "" {
		return &Error{e.Name, e.Message}
	}
	return err
}

func (c *Client) handle(ctx context.Context, method string, params json.RawMessage) (any, error) {
	if method != "incoming" {
		return nil, &call.Error{Code: call.CodeMethodNotFound, Message: "there is no method " + strconv.Quote(method) + " here"}
	}
	var in incoming
	if err := read(params, &in); err != nil {
		return nil, err
	}
	c.mu.Lock()
	take := c.takes[in.Name]
	c.mu.Unlock()
	if take == nil {
		return nil, fmt.Errorf("%q is not registered here", in.Name)
	}
	f := call.TakeFile(ctx)
	if f == nil {
		return nil, failed(Invalid, "no socket came with the introduction")
	}
	sock, err := Socket(f)
	if err != nil {
		return nil, err
	}
	conn, err := Meet(sock)
	if err == nil {
		err = take(&Arrival{Name: in.Name, Metadata: in.Metadata, Sender: in.Sender, Conn: conn})
	}
	if err != nil {
		sock.Close()
		return nil, err
	}
	return struct{}{}, nil
}
