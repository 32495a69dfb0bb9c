package dbusapi

import (
	"encoding/xml"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"

	"davbus.org/davbus/engine"
)

func TestLiveIntrospectionOfEveryObjectEqualsTheXML(t *testing.T) {
	b := open(t)
	want := contract(t)
	for path, ifaces := range objectsOf {
		var node introspect.Node
		text := b.must(path, "org.freedesktop.DBus.Introspectable.Introspect")[0].(string)
		if err := xml.Unmarshal([]byte(text), &node); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, i := range node.Interfaces {
			if strings.HasPrefix(i.Name, "org.freedesktop.DBus.") {
				continue
			}
			got = append(got, i.Name)
			if !reflect.DeepEqual(i, want[i.Name]) {
				t.Errorf("%s of %s is live\n%v\nand in the XML\n%v", i.Name, path, i, want[i.Name])
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, slices.Sorted(slices.Values(ifaces))) {
			t.Errorf("%s has %v, want %v", path, got, ifaces)
		}
	}
}

func TestEveryObjectIsManagedAndNoOther(t *testing.T) {
	b := open(t)
	all := b.must(Root, "org.freedesktop.DBus.ObjectManager.GetManagedObjects")[0].(map[dbus.ObjectPath]map[string]map[string]dbus.Variant)
	want := []dbus.ObjectPath{
		Root + "/account/local", Root + "/account/local/cal", Root + "/account/work", Root + "/account/work/cal",
		Root + "/conflict/c1", Root + "/group/home", Root + "/job/42", Root + "/job/43",
		Root + "/plugin/todo",
	}
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	spec := contract(t)
	for path, ifaces := range all {
		for name, values := range ifaces {
			if len(values) != len(spec[name].Properties) {
				t.Errorf("%s of %s has %d properties, the XML %d", name, path, len(values), len(spec[name].Properties))
			}
		}
	}
}

// ourErrors finds the names of ours that the documents mention.
func ourErrors(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, text := range documents(t) {
		for _, m := range regexp.MustCompile(`org\.davbus\.Sync1\.Error\.(\w+)`).FindAllStringSubmatch(text, -1) {
			out[m[1]] = true
		}
		if _, catalogue, ok := strings.Cut(text, "  org.davbus.Sync1.Error.\n"); ok {
			catalogue, _, _ = strings.Cut(catalogue, "-->")
			for _, line := range regexp.MustCompile(`(?m)^ {4}([A-Z]\w+) {2,}\w.*$`).FindAllStringSubmatch(catalogue, -1) {
				out[line[1]] = true
			}
		}
	}
	return out
}

func TestEveryKindHasItsOwnNameAndTheContractKnowsIt(t *testing.T) {
	documented, seen := ourErrors(t), map[string]engine.Kind{}
	for k := range engine.KindCount {
		n := errorNames[k]
		if n == "" {
			t.Errorf("kind %v has no name", k)
			continue
		}
		if old, twice := seen[n]; twice {
			t.Errorf("kinds %v and %v are both %s", old, k, n)
		}
		seen[n] = k
		if short, ok := strings.CutPrefix(n, ours); ok && !documented[short] {
			t.Errorf("%s is in no document", n)
		}
	}
	for short := range documented {
		if _, ok := seen[ours+short]; !ok {
			t.Errorf("the documents promise %s%s, which nothing makes", ours, short)
		}
	}
	if len(documented) < 35 {
		t.Errorf("only %d names were found in the documents", len(documented))
	}
	if got := errorName(engine.KindCount + 3); got != ours+"Internal" {
		t.Errorf("an unknown kind is %s", got)
	}
}

func TestEveryMethodDocumentsItsErrors(t *testing.T) {
	documented := documentedErrors(t)
	standardNames := []string{"InvalidArgs", "AccessDenied", "LimitsExceeded", "NotSupported"}
	known := ourErrors(t)
	for name := range served() {
		for _, m := range contract(t)[name].Methods {
			if len(documented[name+"."+m.Name]) == 0 {
				t.Errorf("%s.%s documents no error", name, m.Name)
			}
		}
	}
	for method, list := range documented {
		for _, e := range list {
			short, ok := strings.CutPrefix(e, ours)
			if std, isStd := strings.CutPrefix(e, standard); !(ok && known[short]) && !(isStd && slices.Contains(standardNames, std)) {
				t.Errorf("%s documents %q, which is no error name", method, e)
			}
		}
	}
}

func TestOnlyTheClosedSetOfTypesIsUsed(t *testing.T) {
	allowed := []string{"b", "i", "u", "t", "s", "o", "h", "as", "ao", "a{sv}", "aa{sv}", "a(sss)", "a{ss}"}
	check := func(where, typ string) {
		if !slices.Contains(allowed, typ) {
			t.Errorf("%s has type %s, which some tools cannot handle", where, typ)
		}
	}
	reserved := []string{"object", "proxy", "invocation", "error", "cancellable", "user_data", "callback"}
	for name, i := range contract(t) {
		for _, m := range i.Methods {
			for _, a := range m.Args {
				check(name+"."+m.Name, a.Type)
				if a.Name == "" || slices.Contains(reserved, a.Name) {
					t.Errorf("%s.%s has an argument named %q", name, m.Name, a.Name)
				}
			}
		}
		for _, p := range i.Properties {
			check(name+"."+p.Name, p.Type)
			if len(p.Annotations) == 0 {
				t.Errorf("%s.%s does not say whether its changes are announced", name, p.Name)
			}
		}
		for _, s := range i.Signals {
			for _, a := range s.Args {
				check(name+"."+s.Name, a.Type)
			}
		}
	}
}
