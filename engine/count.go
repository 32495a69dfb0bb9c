package engine

import (
	"context"
	"sync/atomic"
)

type requestsKey struct{}

// CountRequests gives a context under which storages count the requests that
// they make for somebody.
func CountRequests(ctx context.Context, n *atomic.Uint32) context.Context {
	return context.WithValue(ctx, requestsKey{}, n)
}

// Requested counts one request, if anybody wants to know.
func Requested(ctx context.Context) {
	if n, is := ctx.Value(requestsKey{}).(*atomic.Uint32); is {
		n.Add(1)
	}
}
