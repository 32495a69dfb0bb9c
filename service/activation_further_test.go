//go:build real && further

package service

import "testing"

func TestFurtherNoneOfTenThousandCallsIsLostWhileDaemonsComeAndGo(t *testing.T) {
	activated(t).bombard(10000, 12)
}
