//go:build real && further

package blackbox_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"davbus.org/davbus/service/lab"
)

// Each sequence has 20 operations. Up to 20 sequences, a batch, run side by side in
// one calendar, each on items of its own, so that one sync serves them all.
const (
	operations = 20
	most       = 20
)

// Two daemons, two folders and a direct DAV writer share a calendar and are
// worked in any order while the daemons sync by themselves and when asked, are
// killed in the middle of it and started again. After the daemons had their time,
// no value is lost and no item is there twice. After the time in DAVBUS_FOR no
// further batch is begun.
func TestFurtherTwoDaemonsAndADirectWriterLoseNothing(t *testing.T) {
	sequences, seed := 200, uint64(20261124)
	if n, err := strconv.Atoi(os.Getenv("DAVBUS_SEQUENCES")); err == nil {
		sequences = n
	}
	if n, err := strconv.ParseUint(os.Getenv("DAVBUS_SEED"), 10, 64); err == nil {
		seed = n
	}
	limit := spending()
	for _, c := range []struct {
		name      string
		site      func(t *testing.T) *site
		sequences int
	}{
		{"radicale", func(t *testing.T) *site { return realSite(lab.Radicale(t)) }, 10},
		{"xandikos", func(t *testing.T) *site { return realSite(lab.Xandikos(t)) }, 10},
		{"ours", ourSite, sequences}, // last, since it alone may take long
	} {
		t.Run(c.name, func(t *testing.T) {
			site := c.site(t)
			houses := []*house{neighbour(t, "A", site), neighbour(t, "B", site)}
			done := 0
			for n := 0; n < c.sequences && !limit(); n += most {
				b := &box{T: t, site: site, houses: houses, seed: seed + uint64(n), atOnce: min(most, c.sequences-n), oracle: newOracle()}
				b.batch(fmt.Sprint("b", n))
				if t.Failed() {
					t.Fatalf("reproduce: DAVBUS_SEED=%d DAVBUS_SEQUENCES=%d go test -tags 'real further' ./service/blackbox -run 'LoseNothing/%s$'", b.seed, b.atOnce, c.name)
				}
				done += b.atOnce
			}
			t.Logf("%d of %d sequences of %d operations, %d kills: 0 lost, 0 twice", done, c.sequences, operations, houses[0].kills+houses[1].kills)
		})
	}
}

// spending tells whether the time in DAVBUS_FOR, if one is given, is spent.
func spending() (spent func() bool) {
	limit, err := time.ParseDuration(os.Getenv("DAVBUS_FOR"))
	began := time.Now()
	return func() bool { return err == nil && time.Since(began) > limit }
}

// neighbour is a house with the server and a folder in one group.
func neighbour(t *testing.T, name string, s *site) *house {
	h := newHouse(t, name)
	h.file("pw", lab.AlicePassword+"\n")
	h.file("pim/.keep", "")
	h.config("accounts/work.yaml", fmt.Sprintf("kind: dav\nurl: %s/\nusername: %s\npassword-command: [cat, %s]\n", s.url, lab.Alice, filepath.Join(h.Dir, "pw")))
	h.config("accounts/local.yaml", "kind: vdir\npath: ~/pim\n")
	h.config("groups/home.yaml", "members: [work, local]\ncreate-missing: [local]\ninterval-sec: 0\nhold-items: 1000000\n")
	h.start()
	return h
}

type box struct {
	*testing.T
	*oracle
	site   *site
	houses []*house
	seed   uint64
	atOnce int
	r      *rand.Rand
	places []place

	calendar string
}

func (b *box) batch(calendar string) {
	b.r, b.calendar = rand.New(rand.NewPCG(b.seed, 0)), calendar
	if err := b.site.make(b.Context(), calendar); err != nil {
		b.Fatal(err)
	}
	for _, h := range b.houses {
		h.sync() // makes the folder
		b.places = append(b.places, folderPlace{h.name, filepath.Join(h.Dir, "pim", calendar), new(int)})
	}
	b.places = append(b.places, serverPlace{b.site, b.Context(), b.site.home + calendar + "/"})
	for range operations {
		for _, n := range b.r.Perm(b.atOnce) {
			b.operate(fmt.Sprintf("u%d-%d", n, b.r.IntN(2)))
		}
		for _, h := range b.houses {
			switch b.r.IntN(10) {
			case 0, 1, 2:
				h.davbus("sync", "home", "--no-wait")
			case 3:
				h.sync()
				h.shaken = false
			case 4:
				b.strike(h)
			}
		}
	}
	for _, h := range b.houses {
		b.strike(h)
		h.sync()
	}
	b.stabilize()
	b.judge()
}

// strike kills a daemon while it syncs and people go on editing, and starts it again.
func (b *box) strike(h *house) {
	h.davbus("sync", "home", "--no-wait")
	h.shaken = true
	for range b.r.IntN(4) {
		b.operate(fmt.Sprintf("u%d-%d", b.r.IntN(b.atOnce), b.r.IntN(2)))
	}
	h.daemon.Kill()
	h.kills++
	h.start()
	if b.r.IntN(2) == 0 {
		h.sync()
		h.shaken = false
	}
}

// operate does one operation of one sequence: at a place, on an item.
func (b *box) operate(uid string) {
	p := b.places[b.r.IntN(len(b.places))]
	kind, prop := b.r.IntN(10), b.r.IntN(2)
	value, other := 0, 0
	displaced, now, err := p.edit(uid, func(was props) props {
		switch kind {
		case 0: // only a look
			return was
		case 1, 2:
			return props{}
		}
		if value == 0 {
			value, other = b.fresh(), b.fresh()
		}
		now := was
		if was == (props{}) {
			now[1-prop] = other
		}
		now[prop] = value
		return now
	})
	if err != nil {
		b.Fatal(err)
	}
	if displaced != now {
		b.mayReturn[uid] = now == props{} && (b.houses[0].shaken || b.houses[1].shaken)
		b.wrote(p.name(), uid, displaced, now, value, other)
	}
}

// stabilize lets the daemons sync until both have nothing left to do.
func (b *box) stabilize() {
	for range 12 {
		quiet := true
		for _, h := range b.houses {
			if r := h.sync(); r.changed() > 0 || r.Result != "success" {
				quiet = false
			}
		}
		if quiet {
			return
		}
	}
	b.Errorf("the daemons do not come to rest:\n%v\n%v", b.houses[0].sync(), b.houses[1].sync())
}

func (b *box) judge() {
	found := map[string]map[int]bool{}
	var views []map[string]props
	for _, p := range b.places {
		items, twice, err := p.all()
		if err != nil {
			b.Fatal(err)
		}
		if len(twice) > 0 {
			b.Errorf("%s has twice: %v", p.name(), twice)
		}
		for uid, is := range items {
			if found[uid] == nil {
				found[uid] = map[int]bool{}
			}
			found[uid][is[0]], found[uid][is[1]] = true, true
		}
		views = append(views, items)
	}
	open := b.houses[0].conflicts()
	for uid := range b.houses[1].conflicts() {
		open[uid] = true
	}
	for uid, alive := range b.alive {
		var lost []string
		for value := range alive {
			if !found[uid][value] {
				lost = append(lost, fmt.Sprint("v", value))
			}
		}
		slices.Sort(lost)
		equal := views[0][uid] == views[1][uid] && views[1][uid] == views[2][uid]
		returned := len(alive) == 0 && len(found[uid]) > 0 && !b.mayReturn[uid]
		if len(lost) > 0 || !open[uid] && (!equal || returned) {
			b.Errorf("%s: lost %v, equal %v, in conflict %v; A %v, B %v, server %v\n  %s", uid, lost, equal, open[uid], views[0][uid], views[1][uid], views[2][uid], strings.Join(b.log[uid], "\n  "))
			for _, h := range b.houses {
				why, errs, _ := h.davbus("why", "local/"+b.calendar, uid+".ics")
				versions, _, _ := h.davbus("versions", "work/"+b.calendar, uid+".ics")
				jobs, _, _ := h.davbus("log")
				b.Logf("%s:\n%s%s%s%s", h.name, why, errs, versions, jobs)
			}
		}
	}
}
