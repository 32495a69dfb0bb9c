//go:build real && further

package service

import (
	"testing"
	"time"
)

// Each is sent SIGTERM too, when it has given up the name and may still have calls
// to answer.
func TestFurtherNoneOfTenThousandCallsIsLostWhileIdleDaemonsLeave(t *testing.T) {
	const stays = 50 * time.Millisecond
	activated(t, stays.String()).edge(10_000, 50, 12, stays, &audience{drain: true})
}
