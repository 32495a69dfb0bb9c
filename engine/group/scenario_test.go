package group_test

import (
	"strings"
	"testing"
)

func TestScenario4NewItemsAndEditsGoEitherWay(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.sync()
	w.all("1=one")
	w.put(1, "1", "uno")
	w.sync()
	w.all("1=uno")
	w.put(1, "2", "two")
	w.put(0, "1", "eins")
	w.sync()
	w.all("1=eins 2=two")
	w.quiet()
}

func TestScenario5DeletionsGoEitherWay(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.put(0, "2", "two")
	w.sync()
	w.remove(1, "1")
	w.sync()
	w.all("2=two")
	w.put(0, "1", "one")
	w.sync()
	w.all("1=one 2=two")
	w.remove(0, "2")
	w.sync()
	w.all("1=one")
	w.quiet()
}

func TestScenario7(t *testing.T) {
	w := newWorld(t, 2)
	w.put(0, "1", "one")
	w.sync()
	w.put(0, "1", "left")
	w.put(1, "1", "right")
	w.sync()
	t.Log(w.conflicts(), w.steps)
	w.quiet()
	t.Log(w.conflicts(), w.steps)
	w.rules.Policy = "member"
	w.rules.Prefer = "a/cal"
	w.sync()
	w.all("1=left")
	t.Log(w.conflicts(), w.steps, w.history())
	w.quiet()
}

func TestMergeSmoke(t *testing.T) {
	w := newWorld(t, 3)
	w.rules.Policy = "merge"
	w.put(0, "1", "one")
	w.sync()
	w.all("1=one")
	text := string(event("1", "left"))
	w.stores[0].Put("1", []byte(text))
	w.stores[1].Put("1", []byte(strings.Replace(string(event("1", "one")), "20240101", "20250101", 1)))
	w.sync()
	t.Log(w.steps, w.conflicts(), w.history(), w.result.Set)
	w.all("1=left")
	t.Log(w.stores[2].Texts())
	w.quiet()
}
