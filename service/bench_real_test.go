//go:build real

package service

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"davbus.org/davbus/dbusapi/bustest"
	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

// apart runs the daemon as a program of its own, so that what is measured of it
// is not measured of the test.
func apart(b *testing.B) *rig {
	b.Helper()
	d := home(b)
	p, err := lab.Start(d.Env("DAVBUS_TEST_DAEMON=1", "DBUS_SESSION_BUS_ADDRESS="+d.bus.Address), os.Args[0]) // see TestMain
	d.must(err)
	b.Cleanup(func() { p.Stop(30 * time.Second) })
	d.c, err = client.Dial(b.Context())
	d.must(err)
	b.Cleanup(func() { d.c.Close() })
	if !lab.Within(30*time.Second, func() bool {
		var version string
		return d.c.Get(b.Context(), client.Root, client.Name+".Manager", "Version", &version) == nil
	}) {
		b.Fatalf("it is not ready\n%v", p)
	}
	return d
}

// asks reads a property again and again while more says so, and gives the
// time that 99 of 100 do not exceed.
func (d *rig) asks(more func(n int) bool) (p99 time.Duration, n int) {
	d.Helper()
	var took []time.Duration
	for ; more(len(took)); n = len(took) {
		var state string
		start := time.Now()
		d.must(d.c.Get(d.Context(), client.Root, client.Name+".Manager", "State", &state))
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[len(took)*99/100], n
}

func (d *rig) twoFolders(items int) {
	d.Helper()
	d.events("a", items)
	d.account("a", "vdir", "path", filepath.Join(d.Dir, "a"))
	d.account("b", "vdir", "path", filepath.Join(d.Dir, "b"))
	d.group("home", []string{"a", "b"}, client.Options{"create-missing": []string{"b"}})
}

// events writes n events into a folder.
func (d *rig) events(folder string, n int) {
	d.Helper()
	for i := range n {
		d.write(filepath.Join(folder, "cal", fmt.Sprintf("i%05d.ics", i)), vevent(fmt.Sprintf("uid-%d", i), fmt.Sprintf("Event %d", i)))
	}
}

// BenchmarkVerdictPropertyReadDuringASync: a panel that asks does not wait for a
// sync of 10,000 items. The floor is the same question to the same daemon at rest,
// by the same reader, which asks again as soon as it has its answer: it takes
// from the sync's cores what it can, and finds its own caches warm, at rest as
// during the sync. That daemon is paused, so that it rests until the sync is
// asked for, and that sync brings all items.
func BenchmarkVerdictPropertyReadDuringASync(b *testing.B) {
	const items, most = 10_000, 5.0
	d := apart(b)
	d.twoFolders(items)
	d.must(d.c.Pause(b.Context(), 0, nil))
	idle, _ := d.asks(func(n int) bool { return n < 3000 })
	start := time.Now()
	job, err := d.c.Sync(b.Context(), "home", client.SyncOptions{})
	d.must(err)
	done := make(chan error, 1)
	go func() {
		result, report, err := d.c.Wait(b.Context(), job)
		if added := report.Int("added"); err == nil && (result != "success" || added != items) {
			err = fmt.Errorf("the sync ended with %s and brought %d items", result, added)
		}
		done <- err
	}()
	busy, n := d.asks(func(int) bool {
		select {
		case err := <-done:
			d.must(err)
			return false
		default:
			return true
		}
	})
	spent, ratio := time.Since(start), float64(busy)/float64(idle)
	fmt.Printf("\nverdict: property read, 99 of 100 within %v during a sync of %d items (%d reads in %v), %v at rest: %.2f of at most %.1f\n",
		busy, items, n, spent.Round(time.Millisecond), idle, ratio, most)
	verdict(b, ratio, most, "x-idle")
}

// verdict ends a benchmark that has its own rounds.
func verdict(b *testing.B, ratio, most float64, unit string) {
	b.Helper()
	for b.Loop() {
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ratio, unit)
	if ratio > most {
		b.Errorf("%.2f times the floor, and %.2f is the most", ratio, most)
	}
}

// BenchmarkVerdictSyncWithAStoppedListener: somebody who has stopped reading
// makes nobody's sync slower. The floor is the same sync without.
func BenchmarkVerdictSyncWithAStoppedListener(b *testing.B) {
	const items, rounds, most = 1000, 5, 1.25
	worst := 0.0
	for _, kind := range bustest.Buses() {
		var alone, watched []time.Duration
		for round := range 2 * rounds {
			d := homeOn(b, kind)
			d.start()
			d.twoFolders(items)
			if round%2 == 1 {
				listen(b, d.c.Conn()).stop()
			}
			start := time.Now()
			d.sync("home", "success")
			if took := time.Since(start); round%2 == 1 {
				watched = append(watched, took)
			} else {
				alone = append(alone, took)
			}
			d.must(d.stop())
		}
		ratio := float64(slices.Min(watched)) / float64(slices.Min(alone))
		fmt.Printf("\nverdict: sync of %d items on %s: %v with a stopped listener, %v without: %.2f of at most %.2f\n",
			items, kind.Name, slices.Min(watched), slices.Min(alone), ratio, most)
		worst = max(worst, ratio)
	}
	verdict(b, worst, most, "x-alone")
}
