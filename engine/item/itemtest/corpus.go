package itemtest

import (
	"embed"
	"strings"
)

//go:embed corpus
var files embed.FS

// A NamedText is a hard item. Whether a strict server accepts it is not known.
type NamedText struct {
	Name string
	Text []byte
}

// Corpus gives our own hard items: what people's programs have written, and what
// they should never write. The text of a file is what its name says, byte for
// byte, but that the files hold LF; a few are made here, since they cannot be
// files or are too large to be.
func Corpus() []NamedText {
	entries, err := files.ReadDir("corpus")
	if err != nil {
		panic(err) // they are part of the program
	}
	var all []NamedText
	for _, e := range entries {
		text, err := files.ReadFile("corpus/" + e.Name())
		if err != nil {
			panic(err)
		}
		all = append(all, NamedText{e.Name(), []byte(strings.ReplaceAll(string(text), "\n", "\r\n"))})
	}
	return append(all, made()...)
}
