package storagetest

import (
	"strings"

	"davbus.org/davbus/engine"
)

// metaValues are values that each key must keep if it keeps any.
var metaValues = map[engine.MetaKey][]string{
	engine.MetaName:        {"Home", "中国", "עברית", "🔥<lol> & \"more\"", "with  two spaces"},
	engine.MetaColor:       {"#112233", "#aAbBcC"},
	engine.MetaDescription: {"one line", "two\nlines", "ä"},
	engine.MetaOrder:       {"0", "1", "12345"},
}

func (b *bench) meta() engine.Meta {
	b.Helper()
	m, err := b.s.(engine.MetaStorage).Meta(b.Context())
	if err != nil {
		b.Fatalf("meta: %v", err)
	}
	return m
}

// setMeta is false where the storage does not keep the key.
func (b *bench) setMeta(key engine.MetaKey, value string, set bool) bool {
	b.Helper()
	err := b.s.(engine.MetaStorage).SetMeta(b.Context(), key, value, set)
	if err != nil && !engine.IsKind(err, engine.NotSupported) {
		b.Fatalf("set %s to %q: %v", key, value, err)
	}
	return err == nil
}

var metaPromises = []promise{
	{"metadata is kept as it was set", func(b *bench) {
		for key, values := range metaValues {
			for _, v := range values {
				if !b.setMeta(key, v, true) {
					continue
				}
				if got := b.meta()[key]; !strings.EqualFold(got, v) || key != engine.MetaColor && got != v {
					b.Errorf("%s: set %q, got %q", key, v, got)
				}
			}
		}
	}},
	{"what is unset is absent", func(b *bench) {
		for key, values := range metaValues {
			if !b.setMeta(key, values[0], true) || !b.setMeta(key, "", false) {
				continue
			}
			if got, ok := b.meta()[key]; ok {
				b.Errorf("%s is still there: %q", key, got)
			}
			b.setMeta(key, "", false) // what is absent may be unset
		}
	}},
	{"one key does not touch another, nor the items", func(b *bench) {
		b.create("a", "one")
		before := b.meta()
		if !b.setMeta(engine.MetaColor, "#445566", true) {
			return
		}
		for key, value := range b.meta() {
			if key != engine.MetaColor && before[key] != value {
				b.Errorf("%s became %q", key, value)
			}
		}
		b.holds(b.text("a", "one"))
	}},
	{"a key that nobody knows is not supported", func(b *bench) {
		if b.setMeta("no-such-key", "x", true) {
			b.Error("it was taken")
		}
	}},
}
