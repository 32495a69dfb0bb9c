package ocapn

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Bind makes sure, from end to end, that the holders of two keys hold an
// introduced socket, whatever the server in the middle may have done with it:
// each signs both keys and what both drew by lot. One of the two is the one that
// asked for the introduction. Where it fails the socket is closed.
func Bind(ctx context.Context, sock *net.UnixConn, mine ed25519.PrivateKey, theirs ed25519.PublicKey, asked bool) error {
	err := bind(ctx, sock, mine, theirs, asked)
	if err != nil {
		sock.Close()
		return fmt.Errorf("%s does not hold the other end: %w", Designator(theirs), err)
	}
	return nil
}

func bind(ctx context.Context, sock *net.UnixConn, mine ed25519.PrivateKey, theirs ed25519.PublicKey, asked bool) error {
	deadline := time.Now().Add(10 * time.Second)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := sock.SetDeadline(deadline); err != nil {
		return err
	}
	ours, other := newChallenge(), make([]byte, challengeSize)
	if _, err := sock.Write(ours); err != nil {
		return err
	}
	if _, err := io.ReadFull(sock, other); err != nil {
		return err
	}
	public := mine.Public().(ed25519.PublicKey)
	if _, err := sock.Write(ed25519.Sign(mine, bound(asked, public, theirs, ours, other))); err != nil {
		return err
	}
	sig := make([]byte, ed25519.SignatureSize)
	if _, err := io.ReadFull(sock, sig); err != nil {
		return err
	}
	if !ed25519.Verify(theirs, bound(!asked, theirs, public, other, ours), sig) {
		return errors.New("its signature is not that of the key")
	}
	return sock.SetDeadline(time.Time{})
}

// bound is what one side signs.
func bound(asked bool, signer, other ed25519.PublicKey, drawn, otherDrawn []byte) []byte {
	b := []byte("davbus-pair-1\x00answers")
	if asked {
		b = []byte("davbus-pair-1\x00asks")
	}
	for _, part := range [][]byte{signer, other, drawn, otherDrawn} {
		b = append(b, part...) // all of fixed length
	}
	return b
}
