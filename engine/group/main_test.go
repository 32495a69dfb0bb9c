package group_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(tidied{m}) }

// tidied ends the real servers once all tests are over.
type tidied struct{ *testing.M }

func (m tidied) Run() int {
	defer stopServers()
	return m.M.Run()
}
