package item_test

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/item/itemtest"
)

// BenchmarkSum tells, beside its own time, how many times longer it takes than
// SHA-256 over the same bytes in the same run: that is the floor.
func BenchmarkSum(b *testing.B) {
	for name, text := range map[string][]byte{"event-1KB": benchEvent(), "photo-48KB": benchPhoto()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				item.Sum(text)
			}
			b.StopTimer()
			perSum := float64(b.Elapsed()) / float64(b.N)
			begun := time.Now()
			for range b.N {
				sha256.Sum256(text)
			}
			b.ReportMetric(perSum/(float64(time.Since(begun))/float64(b.N)), "x-sha256")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for name, text := range map[string][]byte{"event-1KB": benchEvent(), "photo-48KB": benchPhoto()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				item.Read(text)
			}
		})
	}
}

// benchEvent is an event of about 1.1 KB with a time zone and an alarm.
func benchEvent() []byte {
	for _, it := range itemtest.Gen(1, 1000, engine.Calendar) {
		s := string(it.Text)
		if len(s) > 1050 && len(s) < 1150 && strings.Contains(s, "VTIMEZONE") && strings.Contains(s, "VALARM") {
			return it.Text
		}
	}
	panic("no generated event is like that")
}

func benchPhoto() []byte { return itemtest.Photo(48 << 10) }
