package dav_test

import (
	"fmt"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/davserver/davtest"
	"davbus.org/davbus/engine/storage/dav"
)

// cutRig is one source with a calendar of forty events, and what is read of it.
type cutRig struct {
	t   *testing.T
	s   *davtest.Server
	src *dav.Source
	st  *dav.Storage
}

// The ways to read, each with all that it found.
var reads = map[string]func(*cutRig) (string, error){
	"find": func(r *cutRig) (string, error) {
		src := source(r.t, r.s, davtest.Options{})
		found, err := src.Look(r.t.Context(), false)
		return fmt.Sprint(found), err
	},
	"look": func(r *cutRig) (string, error) {
		found, err := r.src.Look(r.t.Context(), false)
		return fmt.Sprint(found), err
	},
	"list": func(r *cutRig) (string, error) {
		heads, err := list(r.t, r.st)
		return fmt.Sprint(heads), err
	},
	"changes": func(r *cutRig) (string, error) {
		d, err := r.st.Changes(r.t.Context(), "")
		return fmt.Sprintf("%+v", d), err
	},
	"metadata": func(r *cutRig) (string, error) {
		m, err := r.st.Meta(r.t.Context())
		return fmt.Sprint(m), err
	},
	"fetch one": func(r *cutRig) (string, error) {
		texts, bad, err := fetch(r.t, r.st, "e0001.ics")
		return fmt.Sprintf("%q %v", texts, bad), err
	},
	"fetch some": func(r *cutRig) (string, error) {
		texts, bad, err := fetch(r.t, r.st, "e0001.ics", "e0002.ics", "e0003.ics")
		return fmt.Sprintf("%q %v", texts, bad), err
	},
	"fetch all": func(r *cutRig) (string, error) {
		var refs []engine.Ref
		for i := range 40 {
			refs = append(refs, engine.Ref(fmt.Sprintf("e%04d.ics", i)))
		}
		texts, bad, err := fetch(r.t, r.st, refs...)
		return fmt.Sprintf("%q %v", texts, bad), err
	},
}

func TestAReadThatIsCutInTheMiddleIsRepeatedOnceAndFindsTheSame(t *testing.T) {
	for name, read := range reads {
		for _, page := range []int{0, 10} {
			t.Run(fmt.Sprint(name, " by ", page), func(t *testing.T) {
				s, _, st, src := filled(t, 40, davtest.Options{PageSize: page})
				r := &cutRig{t, s, src, st}
				want, err := read(r)
				if err != nil {
					t.Fatal(err)
				}
				s.ResetLog()
				if got, err := read(r); got != want || err != nil {
					t.Fatalf("a second time: %s, %v, want %s", got, err, want)
				}
				n, cut := s.Count(), 0
				for i := range n {
					s.ResetLog()
					s.At(i, davtest.Truncate(150, true))
					if got, err := read(r); got != want || err != nil {
						t.Errorf("request %d of %d cut: %v, %s, want %s", i, n, err, got, want)
					}
					if s.Count() > n {
						cut++
					}
					s.Heal()
				}
				if cut == 0 {
					t.Errorf("none of %d answers was cut", n)
				}
				s.ResetLog()
				s.Always("", davtest.Truncate(150, true))
				_, err = read(r)
				wantKind(t, err, engine.ConnectionLost)
				if s.Count() > 8 {
					t.Errorf("%d requests of a server that cuts every answer", s.Count())
				}
			})
		}
	}
}

// A list that names the half and is cut, and then one that names nothing: the two
// together are no list.
func TestWhatWasReadBeforeACutDoesNotCount(t *testing.T) {
	s, m, st, _ := filled(t, 40, davtest.Options{})
	token := changes(t, st, "").Token
	for i := range 40 {
		uid := fmt.Sprintf("e%04d", i)
		m.Put(engine.Ref(uid+".ics"), event(uid, "two"))
	}
	for name, read := range map[string]func() error{
		"list":    func() error { _, err := list(t, st); return err },
		"changes": func() error { _, err := st.Changes(t.Context(), ""); return err },
		"since":   func() error { _, err := st.Changes(t.Context(), token); return err },
	} {
		s.Heal()
		s.ResetLog()
		s.At(0, davtest.Truncate(4000, true))
		s.When(-1, func(r davtest.Request) bool { return r.N > 0 }, davtest.Empty207())
		if err := read(); err == nil {
			t.Errorf("%s: half a list and an empty one were believed", name)
		}
	}
}
