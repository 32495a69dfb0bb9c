//go:build real && further

package service

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

// resident is the memory of a process, in bytes.
func resident(t *testing.T, p *os.Process) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.Pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(raw))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestFurtherTenThousandItemsWithAStoppedListener: what a sync says is bounded by
// time and not by items, so that a listener that has stopped reading costs the
// bus next to nothing, and nobody is thrown off it.
func TestFurtherTenThousandItemsWithAStoppedListener(t *testing.T) {
	for _, kind := range bustest.Buses() {
		t.Run(kind.Name, func(t *testing.T) {
			address, process := kind.Start(t)
			d := homeAt(t, address)
			d.events("a", 10_000)
			d.start()
			d.account("a", "vdir", "path", filepath.Join(d.Dir, "a"))
			d.account("b", "vdir", "path", filepath.Join(d.Dir, "b"))
			d.account("x", "vdir", "path", filepath.Join(d.Dir, "x"))
			d.account("y", "vdir", "path", filepath.Join(d.Dir, "y"))
			d.write("x/cal/one.ics", vevent("one", "One"))
			d.group("small", []string{"x", "y"}, client.Options{"create-missing": []string{"y"}})
			d.group("large", []string{"a", "b"}, client.Options{"create-missing": []string{"b"}})
			bystander := bustest.Client(t, address)
			counter, stopped := listen(t, bystander), listen(t, bystander)
			d.sync("small", "success") // the bus has by now what it needs for anybody
			stopped.stop()
			before := resident(t, process)
			report := d.sync("large", "success")
			grown := resident(t, process) - before
			d.withinBudget(counter, report)
			t.Logf("the bus grew by %d KiB", grown>>10)
			if report.Int("added") != 10_000 || grown > 1<<20 {
				t.Errorf("%d items, and the bus grew by %d bytes", report.Int("added"), grown)
			}
			for who, name := range map[string]string{"the stopped listener": stopped.name, "a bystander": bystander.Names()[0], "davbus": client.Name} {
				if !slices.Contains(names(t, bystander), name) {
					t.Errorf("%s (%s) was thrown off the bus", who, name)
				}
			}
		})
	}
}

// withinBudget counts what another program heard of a job.
func (d *rig) withinBudget(l *listener, report client.Props) {
	d.Helper()
	path := fmt.Sprintf("/org/davbus/Sync1/job/%d: ", report.Int("id"))
	last := fmt.Sprintf(".Manager.JobRemoved (uint32 %d,", report.Int("id"))
	if !lab.Within(30*time.Second, func() bool { return strings.Contains(l.said.String(), last) }) {
		d.Fatalf("the listener never heard of the end of job %d", report.Int("id"))
	}
	said := l.said.String()
	spent := report.Time("finished-usec").Sub(report.Time("started-usec"))
	progress := strings.Count(said, path+"org.freedesktop.DBus.Properties.PropertiesChanged")
	items := strings.Count(said, ".Collection.ItemsChanged")
	all := strings.Count(said, "\n")
	d.Logf("%v: %d signals in all, %d of the job's properties, %d of items", spent.Round(time.Millisecond), all, progress, items)
	// Four a second, and at once for queued, running and done.
	if limit := 4*spent.Seconds() + 6; float64(progress) > limit || progress < 3 {
		d.Errorf("%d changes of the job in %v; at most %.0f are allowed", progress, spent, limit)
	}
	if limit := 2 * (spent.Seconds() + 3); float64(items) > limit || items == 0 {
		d.Errorf("%d ItemsChanged of two collections in %v; at most %.0f are allowed", items, spent, limit)
	}
	if limit := 20*spent.Seconds() + 120; float64(all) > limit {
		d.Errorf("%d signals in %v; at most %.0f are allowed", all, spent, limit)
	}
}
