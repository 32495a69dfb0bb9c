package memory_test

import (
	"bytes"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/storage/memory"
	"davbus.org/davbus/engine/storage/storagetest"
)

func TestPromisesInEveryShape(t *testing.T) {
	for name, shape := range map[string]*memory.Storage{
		"plain":       {},
		"churn":       {Churn: true},
		"no etags":    {NoEtags: true, Sum: item.Sum},
		"no tokens":   {NoTokens: true},
		"inline":      {Inline: true},
		"rewriting":   {Rewrite: func(text []byte) []byte { return bytes.ReplaceAll(text, []byte("VERSION"), []byte("version")) }},
		"meta unkept": {Unkept: map[engine.MetaKey]bool{engine.MetaOrder: true}},
	} {
		t.Run(name, func(t *testing.T) {
			storagetest.Run(t, func(testing.TB) engine.Storage { return shape.Copy() })
		})
	}
}

func TestPromisesOfAStorageThatGivesItsOwnUIDs(t *testing.T) {
	for name, shape := range map[string]*memory.Storage{
		"plain":     {WithUID: item.WithUID},
		"no etags":  {WithUID: item.WithUID, NoEtags: true, Sum: item.Sum},
		"rewriting": {WithUID: item.WithUID, Rewrite: func(text []byte) []byte { return bytes.ReplaceAll(text, []byte("VERSION"), []byte("version")) }},
	} {
		t.Run(name, func(t *testing.T) {
			storagetest.Suite{OwnUIDs: true, Fresh: func(testing.TB) engine.Storage { return shape.Copy() }}.Run(t)
		})
	}
}

func TestSourcePromises(t *testing.T) {
	storagetest.RunSource(t, func(testing.TB) engine.Source { return new(memory.Source) })
}
