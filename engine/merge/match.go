package merge

import (
	"slices"
	"strings"
)

// matching finds for each of bs the cell of as that it is, or that it was before
// it was changed. If guess is set, that goes for one of many too (a number, an
// alarm) which has nothing in common with what it was but its place.
func matching(as, bs []*cell, guess bool) map[*cell]*cell {
	found := map[*cell]*cell{}
	as, bs = slices.Clone(as), slices.Clone(bs)
	for _, key := range []func(*cell) string{
		func(c *cell) string { return c.says },
		func(c *cell) string { return c.value },
		func(c *cell) string { return c.about },
	} {
		as, bs = pair(as, bs, found, key)
	}
	inOrder(as, bs, found, guess)
	return found
}

// pair matches what has the same key and gives what is left.
func pair(as, bs []*cell, found map[*cell]*cell, key func(*cell) string) (restA, restB []*cell) {
	type place struct{ bucket, key string }
	waiting := map[place][]*cell{}
	for _, a := range as {
		if k := key(a); k != "" {
			waiting[place{a.bucket, k}] = append(waiting[place{a.bucket, k}], a)
		}
	}
	taken := map[*cell]bool{}
	for _, b := range bs {
		at := place{b.bucket, key(b)}
		if w := waiting[at]; len(w) > 0 && at.key != "" && compatible(w[0], b) {
			found[b] = w[0]
			taken[w[0]] = true
			waiting[at] = w[1:]
		} else {
			restB = append(restB, b)
		}
	}
	restA = slices.DeleteFunc(as, func(a *cell) bool { return taken[a] })
	return restA, restB
}

// compatible tells whether two cells may be one that was changed: not if they are
// about different things.
func compatible(a, b *cell) bool {
	return a.says == b.says || a.about == b.about || a.about == "" || b.about == ""
}

// inOrder matches what is left of a bucket if there are equally many on both
// sides: the first is the first, and so on.
func inOrder(as, bs []*cell, found map[*cell]*cell, guess bool) {
	left := map[string][]*cell{}
	for _, a := range as {
		left[a.bucket] = append(left[a.bucket], a)
	}
	count := map[string]int{}
	for _, b := range bs {
		count[b.bucket]++
	}
	for _, b := range bs {
		a := left[b.bucket]
		if len(a) == 0 || len(a) != count[b.bucket] || b.nth >= 0 || slices.Contains(sets, b.bucket) || !guess && oneOfMany(b.bucket) {
			continue
		}
		count[b.bucket]--
		left[b.bucket] = a[1:]
		if compatible(a[0], b) {
			found[b] = a[0]
		}
	}
}

// oneOfMany tells buckets whose cells do not stand against each other.
func oneOfMany(bucket string) bool {
	return slices.Contains(repeated, bucket) || bucket == componentPrefix+"VALARM"
}

// saying tells everything that cells say, by bucket.
func saying(cells []*cell) map[string]string {
	all := map[string][]string{}
	for _, c := range cells {
		all[c.bucket] = append(all[c.bucket], c.says)
	}
	says := make(map[string]string, len(all))
	for bucket, s := range all {
		slices.Sort(s)
		says[bucket] = strings.Join(s, "\n")
	}
	return says
}

// without are the cells that nothing in found was matched with.
func without(cells []*cell, found map[*cell]*cell) []*cell {
	taken := make(map[*cell]bool, len(found))
	for _, a := range found {
		taken[a] = true
	}
	return slices.DeleteFunc(slices.Clone(cells), func(a *cell) bool { return taken[a] })
}
