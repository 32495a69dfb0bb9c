package dav

import (
	"context"
	"net/http"

	"davbus.org/davbus/engine"
)

// Unanswered and Refused make the errors of this package for package webcal,
// which asks servers too: of a request that got no whole answer, and of one
// that was refused.

func Unanswered(ctx context.Context, op, on string, err error) *engine.Error {
	return engine.Fail(kindOfNet(ctx, err), op, on, "%w", err)
}

func Refused(op, on string, resp *http.Response) *engine.Error {
	return statusError(op, on, resp, "")
}
