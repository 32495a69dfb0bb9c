//go:build real && further

package plugin_test

import "testing"

func TestFurtherAPluginsProcessMayBeKilledAtEveryMessageOfASync(t *testing.T) { killAtEach(t, 1) }
