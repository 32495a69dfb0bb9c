package plan

import (
	"fmt"
	"testing"
)

// deletions makes rows of two members, of which the first few were deleted at a.
func deletions(marked, deleted int) ([]Member, []Row) {
	var members []Member
	var rows []Row
	for i := range marked {
		s := "1a | 1a>a | 1a>a"
		if i < deleted {
			s = "1a | 1a>. | 1a>a"
		}
		m, row := parse(s)
		row.Key = Key(fmt.Sprintf("u:%03d", i))
		members, rows = m, append(rows, row)
	}
	return members, rows
}

func TestGuardHoldsManyDeletionsOnBothSidesOfItsLimits(t *testing.T) {
	lim := Limits{Items: 10, Percent: 20, Invites: 3}
	tests := []struct {
		name            string
		marked, deleted int
		lim             Limits
		held            int
	}{
		{"as many as are never too many", 20, 10, lim, 0},
		{"one more, and a large share", 20, 11, lim, 11},
		{"one more, of which the share is just not too large", 55, 11, lim, 0},
		{"one more, of which it just is", 54, 11, lim, 11},
		{"a small member may be emptied", 3, 3, lim, 0},
		{"a larger one may not", 4, 4, lim, 4},
		{"but for one item it may", 4, 3, lim, 0},
		{"no limit of items", 10, 1, Limits{Items: 0, Percent: 0}, 1},
		{"all may go but never all", 10, 9, Limits{Items: 1000, Percent: 100}, 0},
		{"never all", 10, 10, Limits{Items: 1000, Percent: 100}, 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			members, rows := deletions(tt.marked, tt.deleted)
			p, held := Guard(Reconcile(members, rows, Rules{}), rows, 2, tt.lim, nil)
			if len(held) != tt.held || p.Writes() != tt.deleted-tt.held {
				t.Errorf("held %d and left %d of %d deletions of %d, want %d held", len(held), p.Writes(), tt.deleted, tt.marked, tt.held)
			}
		})
	}
}

func TestGuardHoldsNothingElse(t *testing.T) {
	members, rows := deletions(20, 15)
	_, edit := parse("1a | 1a>b | 1a>a")
	_, fresh := parse("- | ->. | ->a")
	edit.Key, fresh.Key = "u:edit", "u:fresh"
	rows = append(rows, edit, fresh)
	p, held := Guard(Reconcile(members, rows, Rules{}), rows, 2, Limits{Items: 10, Percent: 20}, nil)
	if len(held) != 15 || p.Writes() != 2 || len(p.Steps) != 2 {
		t.Errorf("held %d, left %+v", len(held), p)
	}
	for _, h := range held {
		if h.Op.Verb != Delete || h.Op.Member != 1 || h.Version != 1 || h.Op.Was != text('a') {
			t.Errorf("held %+v", h)
		}
	}
}

func TestGuardCountsEachMemberByItself(t *testing.T) {
	var rows []Row
	var members []Member
	for i := range 30 {
		s := "1a | 1a>. | 1a>a | 1a>a"
		if i >= 8 {
			s = "1a | 1a>a | 1a>. | 1a>a"
		}
		if i >= 16 {
			s = "1a | 1a>a | 1a>a | 1a>a"
		}
		m, row := parse(s)
		row.Key = Key(fmt.Sprint(i))
		members, rows = m, append(rows, row)
	}
	p, held := Guard(Reconcile(members, rows, Rules{}), rows, 3, Limits{Items: 10, Percent: 20}, nil)
	if len(held) != 16 || p.Writes() != 16 {
		t.Errorf("held %d, left %d: c alone loses 16", len(held), p.Writes())
	}
}

func TestGuardLetsGoExactlyWhatWasAllowed(t *testing.T) {
	members, rows := deletions(40, 15)
	allowed := func(h Hold) bool { return h.Key < "u:012" && h.Version == 1 && h.Op.Was == text('a') }
	p, held := Guard(Reconcile(members, rows, Rules{}), rows, 2, Limits{Items: 2, Percent: 5}, allowed)
	if len(held) != 3 || p.Writes() != 12 {
		t.Errorf("held %d, left %d", len(held), p.Writes())
	}
	rows[0].Version = 2 // it moved since
	rows[0].Marks[1].Version, rows[0].Marks[0].Version = 2, 2
	_, held = Guard(Reconcile(members, rows, Rules{}), rows, 2, Limits{Items: 2, Percent: 5}, allowed)
	if len(held) != 4 {
		t.Errorf("held %d, want the one that moved too", len(held))
	}
}

func TestGuardDoesNotLetTheRestEmptyAMember(t *testing.T) {
	members, rows := deletions(5, 5)
	allowed := func(h Hold) bool { return h.Key < "u:003" }
	p, held := Guard(Reconcile(members, rows, Rules{}), rows, 2, Limits{Items: 10, Percent: 20}, allowed)
	if len(held) != 2 || p.Writes() != 3 {
		t.Errorf("held %d, left %d", len(held), p.Writes())
	}
}

func TestGuardHoldsManyInvitations(t *testing.T) {
	for n, want := range map[int]int{3: 0, 4: 4} {
		var rows []Row
		var members []Member
		for i := range 6 {
			m, row := parse("- | ->a | ->.")
			row.Key = Key(fmt.Sprint(i))
			members, rows = m, append(rows, row)
		}
		p := Reconcile(members, rows, Rules{})
		for i := range n {
			for j := range p.Steps[i].Ops {
				p.Steps[i].Ops[j].Invites = p.Steps[i].Ops[j].Verb == Create
			}
		}
		p, held := Guard(p, rows, 2, Limits{Items: 10, Percent: 20, Invites: 3}, nil)
		if len(held) != want || p.Writes() != 6-want {
			t.Errorf("%d invitations: held %d, left %d", n, len(held), p.Writes())
		}
	}
}

// A set is emptied at one member: what a lost folder looks like.
func TestAnEmptiedMemberIsNeverCopied(t *testing.T) {
	members, rows := deletions(5, 5)
	if _, held := Guard(Reconcile(members, rows, Rules{From: "a"}), rows, 2, Limits{Items: 10, Percent: 20}, nil); len(held) != 5 {
		t.Errorf("one way, %d of 5 are held", len(held))
	}
}
