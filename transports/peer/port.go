package peer

import "errors"

// ErrNobody says that nobody listens at a port.
var ErrNobody = errors.New("nobody listens there")
