//go:build real && further

package tree_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/bustest"
)

func TestFurtherAHostileClientOnDbusBroker(t *testing.T) {
	address, _ := bustest.BrokerProcess(t)
	beHostile(t, address)
}

// A bus takes messages of up to 128 MiB.
func TestFurtherAnArgumentAsLongAsTheBusTakesIsRefused(t *testing.T) {
	tr := newTree(t)
	address, service := onRealBus(t, tr, newItem("x"))
	item := bustest.Client(t, address).Object(name, root+"/a")
	err := item.Call(iface+".Echo", 0, strings.Repeat("x", 127<<20), map[string]dbus.Variant{}).Err
	if e, ok := errors.AsType[dbus.Error](err); !ok || e.Name != std+"Error.LimitsExceeded" {
		t.Errorf("got %v", err)
	}
	if err := item.Call(iface+".Echo", 0, "x", map[string]dbus.Variant{}).Err; err != nil || service.Err() != nil {
		t.Error(err, service.Err())
	}
}

func TestFurtherAThousandWaitingCallsOfOneCallerOnDbusBroker(t *testing.T) {
	address, _ := bustest.BrokerProcess(t)
	waitInCrowds(t, address)
}
