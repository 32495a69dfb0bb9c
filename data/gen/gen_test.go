package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"davbus.org/davbus/data"
)

func TestThePageIsCurrent(t *testing.T) {
	want, err := generate(data.Interfaces)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", "..", page))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the XML says (%v): run make man", page, err)
	}
}

func TestThePageSaysWhatTheDocumentSays(t *testing.T) {
	raw := `<node>
  <!-- ERROR NAMES
  a.Error.
    Odd     not even
  -->
  <!--
      a.B:
      @short_description: One of *those*

      First.
  -->
  <interface name="a.B">
    <!--
        Size_:

        How big.
    -->
    <property name="Size_" type="u" access="readwrite"><annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="const"/></property>
    <!--
        Do:
        @in_it: what
          goes in.
        @out: what comes.

        Does it.

        Twice.

        Errors: a.Error.Odd,
          a.Error.Even.
    -->
    <method name="Do"><arg name="in_it" type="s" direction="in"/><arg name="out" type="o" direction="out"/></method>
    <!--
        Done:
        @it: that.

        It is.
    -->
    <signal name="Done"><arg name="it" type="s"/></signal>
  </interface>
</node>`
	d, err := read([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	text := string(write([]document{d}))
	for _, want := range []string{
		"\n# A.B\n\n*a.B*: One of \\*those\\*.\n\nFirst.\n", "\n*Size_* (u, may be set, never changes)\n\tHow big.\n",
		"\n*Do*(s _in\\_it_) → (o _out_)\n\tDoes it.\n\n\tTwice.\n\n\t_in\\_it_: what goes in.\n\n\t_out_: what comes.\n\n\tErrors: a.Error.Odd, a.Error.Even.\n",
		"\n*Done*(s _it_)\n\tIt is.\n\n\t_it_: that.\n", "\n*a.Error.Odd*\n\tnot even.\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	for _, broken := range [][2]string{
		{"Do:\n", "Undo:\n"}, {"@out: what comes.\n", ""}, {"@it: that.\n", "@it: that.\n        @that: it.\n"}, {"How big.", ""},
		{"Errors:", "Or:"}, {"@short_description", "@description"}, {`<interface name="a.B">`, `<interface name="a.C">`}, {"</interface>", ""},
	} {
		if _, err := read([]byte(strings.Replace(raw, broken[0], broken[1], 1))); err == nil {
			t.Errorf("%q for %q is taken", broken[1], broken[0])
		}
	}
}
