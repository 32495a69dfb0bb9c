//go:build real && further

package tree_test

import (
	"testing"

	"davbus.org/davbus/dbusapi/bustest"
)

func TestFurtherAHostileClientOnDbusBroker(t *testing.T) {
	address, _ := bustest.BrokerProcess(t)
	beHostile(t, address)
}

func TestFurtherAThousandWaitingCallsOfOneCallerOnDbusBroker(t *testing.T) {
	address, _ := bustest.BrokerProcess(t)
	waitInCrowds(t, address)
}
