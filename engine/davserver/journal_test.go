package davserver

import (
	"fmt"
	"testing"

	"davbus.org/davbus/engine"
)

func TestForgottenRemovalsMakeOldTokensUnknown(t *testing.T) {
	j := newJournal()
	ref := func(i int) engine.Ref { return engine.Ref(fmt.Sprint(i)) }
	for i := range maxGone + 1 {
		j.see(engine.Head{Ref: ref(i), Etag: "1"})
	}
	before := mark{epoch: j.epoch, seq: j.seq}
	for i := range maxGone {
		j.miss(ref(i))
	}
	if page, _, _ := j.since(before.seq, 0); !j.holds(before) || len(page) != maxGone {
		t.Errorf("%d removals are told, want all %d", len(page), maxGone)
	}
	late := mark{epoch: j.epoch, seq: j.seq}
	j.miss(ref(maxGone)) // one too many
	if j.holds(before) {
		t.Error("a token is taken although removals since then are forgotten")
	}
	if page, _, _ := j.since(late.seq, 0); !j.holds(late) || len(page) != 1 || len(j.rows) > maxGone {
		t.Errorf("of %d rows %d are told to the newest token", len(j.rows), len(page))
	}
}
