package group_test

import (
	"cmp"
	"slices"
	"strings"
)

// unkept is the property that the poor member of a storm does not keep. Whoever
// edits or deletes an item there has never seen it.
const unkept = len(propNames) - 1

// makePoor makes a member one that does not keep descriptions, and of two such
// members lets one say so.
func (s *storm) makePoor(p *spy) {
	p.poor = true
	p.Rewrite = func(text []byte) []byte {
		var kept []string
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, propNames[unkept]+":") {
				kept = append(kept, line)
			}
		}
		return []byte(strings.Join(kept, ""))
	}
	if s.seed%16 < 8 {
		p.member.Properties = []string{"SUMMARY", "LOCATION", "DTSTART"}
	}
}

// kept is as much of some values as a member keeps.
func (p *spy) kept(v props) props {
	if p.poor {
		v[unkept] = 0
	}
	return v
}

// knows are the properties that a member has.
func (p *spy) knows() []string {
	if p.poor {
		return propNames[:unkept]
	}
	return propNames[:]
}

// poorLast are the members, those first that keep everything.
func (s *storm) poorLast() []*spy {
	first := slices.Clone(s.spies)
	slices.SortStableFunc(first, func(a, b *spy) int { return cmp.Compare(len(b.knows()), len(a.knows())) })
	return first
}
