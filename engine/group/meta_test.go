package group_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/group"
	"davbus.org/davbus/engine/storage/memory"
)

// both says that a property has one value at both members; "" for none.
func (w *world) both(key engine.MetaKey, want string) {
	w.t.Helper()
	for i, s := range w.places {
		if m, err := s.Meta(w.t.Context()); err != nil || m[key] != want {
			w.t.Errorf("%s at %d is %q, want %q (%v)", key, i, m[key], want, err)
		}
	}
}

func TestScenario84MetadataGoEitherWay(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.put(0, "1", "one")
		w.places[0].EditMeta(engine.MetaColor, "#FF0000", true)
		w.sync()
		w.both(engine.MetaColor, "#FF0000")
		w.places[1].EditMeta(engine.MetaColor, "#00FF00", true)
		w.sync()
		w.both(engine.MetaColor, "#00FF00")
		w.places[0].EditMeta(engine.MetaColor, "#00ff00ff", true) // its way to say the same
		w.reset()
		w.sync()
		if n := w.places[0].Counts().SetMeta + w.places[1].Counts().SetMeta; n > 0 {
			t.Errorf("%d writes for nothing", n)
		}
		for remover := range 2 {
			w.places[remover].EditMeta(engine.MetaColor, "", false)
			w.sync()
			w.both(engine.MetaColor, "")
			w.places[0].EditMeta(engine.MetaColor, "#0000FF", true) // and may have one again
			w.sync()
			w.both(engine.MetaColor, "#0000FF")
		}
	})
}

func TestScenario84RemovedHereAndChangedThereIsNoRemoval(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.places[0].EditMeta(engine.MetaName, "work", true)
		w.sync()
		w.places[0].EditMeta(engine.MetaName, "", false)
		w.places[1].EditMeta(engine.MetaName, "Arbeit", true)
		w.sync()
		w.both(engine.MetaName, "Arbeit")
	})
}

func TestScenario84AClashIsTheFirstMembersAndTheOtherIsKept(t *testing.T) {
	over(t, 2, func(t *testing.T, w *world) {
		w.places[0].EditMeta(engine.MetaName, "first", true)
		w.places[1].EditMeta(engine.MetaName, "second", true)
		w.sync()
		w.both(engine.MetaName, "first")
		versions, err := w.ledger.Versions("b/cal", "display-name", 0, 10)
		if err != nil || len(versions) != 1 {
			t.Fatalf("%+v %v", versions, err)
		}
		if text, err := w.ledger.VersionText(versions[0].ID); err != nil || string(text) != "second" {
			t.Errorf("kept %q %v", text, err)
		}
	})
}

// What is overwritten stands in history first, whoever rules, and whoever was away
// when it was decided.
func TestAPropertyThatNobodySawIsKeptBeforeItIsOverwritten(t *testing.T) {
	w := newWorld(t, 3)
	kept := func(at engine.MemberID, want ...string) {
		t.Helper()
		versions, err := w.ledger.Versions(at, "color", 0, 10)
		var got []string
		for _, v := range versions {
			text, e := w.ledger.VersionText(v.ID)
			got, err = append(got, string(text)), e
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: kept %v, want %v (%v)", at, got, want, err)
		}
	}
	w.rules.From = "b/cal"
	w.places[1].EditMeta(engine.MetaColor, "#000001", true)
	w.sync()
	w.places[0].EditMeta(engine.MetaColor, "#000002", true)
	w.stores[0].Before = func(c memory.Call) error {
		if c.Name == "set-meta" {
			kept("a/cal", "#000002")
		}
		return nil
	}
	w.sync()
	w.both(engine.MetaColor, "#000001")
	kept("a/cal", "#000002")
	w.rules.From = ""
	late := w.members[2].Storage
	w.members[2].Storage = nil
	w.stores[1].EditMeta(engine.MetaColor, "#000003", true)
	w.stores[0].Before = func(c memory.Call) error {
		if c.Name == "set-meta" {
			return engine.Fail(engine.Forbidden, "set", "color", "not now")
		}
		return nil
	}
	w.stores[0].EditMeta(engine.MetaColor, "", false)
	w.sync()
	kept("a/cal", "#000002")
	w.stores[0].Before, w.members[2].Storage = nil, late
	w.sync()
	w.both(engine.MetaColor, "#000003")
	kept("c/cal", "#000001")
}

func TestAPropertyThatAMemberCannotKeepIsAskedOnce(t *testing.T) {
	w := newWorld(t, 2)
	w.stores[1].Unkept = map[engine.MetaKey]bool{engine.MetaOrder: true}
	w.stores[0].EditMeta(engine.MetaOrder, "7", true)
	w.sync()
	w.reset()
	w.sync()
	w.stores[0].EditMeta(engine.MetaOrder, "8", true)
	w.sync()
	if n := w.stores[1].Counts().SetMeta; n > 0 {
		t.Errorf("asked %d times more", n)
	}
}

func TestManyInvitationsAreHeld(t *testing.T) {
	invite := func(uid string) []byte {
		return []byte(strings.Replace(string(event(uid, "party")), "SUMMARY", "ORGANIZER:mailto:Me@example.org\r\nATTENDEE:mailto:you@example.org\r\nSUMMARY", 1))
	}
	for _, tt := range []struct {
		name      string
		addresses []string
		items     int
		held      int
	}{
		{"few", []string{"mailto:me@example.org"}, 3, 0},
		{"many", []string{"mailto:me@example.org"}, 4, 4},
		{"many, in somebody else's name", []string{"mailto:them@example.org"}, 4, 0},
		{"many, and nobody knows in whose name", nil, 4, 4},
	} {
		w := newWorld(t, 2)
		w.members[1].Scheduling, w.members[1].Addresses = true, tt.addresses
		for i := range tt.items {
			w.stores[0].Put(engine.Ref(fmt.Sprint(i)), invite(fmt.Sprint(i)))
		}
		w.put(0, "plain", "x")
		w.sync()
		if p := w.problems(); len(p) != tt.held || strings.Count(w.has(1), "=") != 1+tt.items-tt.held {
			t.Errorf("%s: %d held, b has %q", tt.name, len(p), w.has(1))
		}
		w.quiet()
		w.sync(group.Options{Proceed: true})
		w.want(1, w.has(0))
	}
	w := newWorld(t, 2)
	w.members[1].Scheduling, w.rules.ServerInvites = true, true
	for i := range 4 {
		w.stores[0].Put(engine.Ref(fmt.Sprint(i)), invite(fmt.Sprint(i)))
	}
	w.sync()
	w.want(1, w.has(0))
}

func TestScenario76AMoveBetweenCalendarsIsTriedAgain(t *testing.T) {
	overServer(t, 1, func(t *testing.T, w *world) {
		var moved atomic.Bool // its other calendar's set has made its deletion
		w.stores[1].Refuse = func(wr engine.Write) error {
			if !moved.Load() && wr.Verb == engine.Create {
				return engine.Fail(engine.AlreadyExists, "create", "1", "no-uid-conflict")
			}
			return nil
		}
		if w.real {
			w.stores[1].Refuse = nil
			w.servers[1].Always("PUT", davtest.Answer(403, "application/xml", `<D:error xmlns:D="DAV:"><C:no-uid-conflict xmlns:C="urn:ietf:params:xml:ns:caldav"/></D:error>`))
		}
		w.put(0, "1", "one")
		if res := w.sync(); !res.Again {
			t.Error("it is not worth another run")
		}
		moved.Store(true)
		if w.real {
			w.servers[1].Heal()
		}
		if res := w.sync(); res.Again {
			t.Error("still worth another run")
		}
		w.all("1=one")
		if p := w.problems(); len(p) > 0 {
			t.Errorf("problems %+v", p)
		}
	})
}
