package dbusapi

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5/introspect"

	"davbus.org/davbus/engine"
)

// kindsOfTheSource finds the constants of the type Kind where they are declared.
func kindsOfTheSource(t *testing.T) (names []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../engine/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		d, ok := n.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			return true
		}
		ofKind := false // a constant without a type has that of the one before
		for _, s := range d.Specs {
			v := s.(*ast.ValueSpec)
			if id, typed := v.Type.(*ast.Ident); typed || v.Values != nil {
				ofKind = typed && id.Name == "Kind"
			}
			for _, id := range v.Names {
				if ofKind && id.Name != "KindCount" {
					names = append(names, id.Name)
				}
			}
		}
		return true
	})
	return names
}

// tableOfTheSource finds the keys of the table errorNames, and what each becomes.
func tableOfTheSource(t *testing.T) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || v.Names[0].Name != "errorNames" {
			return true
		}
		for _, e := range v.Values[0].(*ast.CompositeLit).Elts {
			kv := e.(*ast.KeyValueExpr)
			value := kv.Value.(*ast.BinaryExpr)
			out[kv.Key.(*ast.SelectorExpr).Sel.Name] = value.X.(*ast.Ident).Name + " " + value.Y.(*ast.BasicLit).Value
		}
		return true
	})
	return out
}

// The table is complete by the source, not only by the numbers: a kind that is
// added to the engine has no name until somebody gives it one here and in the
// catalogue of the contract.
func TestEveryKindOfTheEngineIsInTheTableOfNames(t *testing.T) {
	kinds, table := kindsOfTheSource(t), tableOfTheSource(t)
	if len(kinds) != int(engine.KindCount) {
		t.Errorf("%d kinds are declared and KindCount is %d: %v", len(kinds), engine.KindCount, kinds)
	}
	for _, k := range kinds {
		if table[k] == "" {
			t.Errorf("engine.%s has no name on the bus", k)
		}
	}
	for k := range table {
		if !slices.Contains(kinds, k) {
			t.Errorf("the table names engine.%s, which is no kind", k)
		}
	}
	if values := slices.Sorted(maps.Values(table)); len(slices.Compact(values)) != len(table) {
		t.Error("two kinds share a name")
	}
}

// busctl shows the message alone, gdbus both: what was wanted, of what, and why
// must be in it, whatever the kind.
func TestMessagesMakeSenseAlone(t *testing.T) {
	said := map[string]bool{}
	for k := range engine.KindCount {
		got, _ := ErrorReply(engine.Fail(k, "sync", "home", "%w", errors.New("the reason"))).Body[0].(string)
		why := strings.TrimSuffix(strings.TrimPrefix(got, "cannot sync home: "), ": the reason")
		if len(why) < 4 || got != "cannot sync home: "+why+": the reason" || strings.ContainsAny(why, "_0123456789") || said[why] {
			t.Errorf("%v says %q", k, got)
		}
		said[why] = true
	}
}

// The page for those who build desktops speaks of nothing that is not there.
func TestThePageForDesktopsNamesOnlyWhatIsThere(t *testing.T) {
	page, err := os.ReadFile("../docs/desktop.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("`(Manager|Account|Collection|Group|Job|Conflict)\\.([A-Z]\\w+)").FindAllStringSubmatch(string(page), -1)
	for _, m := range found {
		i := contract(t)[BusName+"."+m[1]]
		is := func(name string) bool { return name == m[2] }
		if !slices.ContainsFunc(i.Methods, func(x introspect.Method) bool { return is(x.Name) }) &&
			!slices.ContainsFunc(i.Properties, func(x introspect.Property) bool { return is(x.Name) }) &&
			!slices.ContainsFunc(i.Signals, func(x introspect.Signal) bool { return is(x.Name) }) {
			t.Errorf("docs/desktop.md names %s.%s, which is not there", m[1], m[2])
		}
	}
	if len(found) < 30 {
		t.Errorf("only %d members were found on the page", len(found))
	}
}
