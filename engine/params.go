package engine

// Params are the parameters of an account: string, bool, uint32 or []string.
type Params map[string]any

// A ParamSpec describes one parameter of an account kind.
type ParamSpec struct {
	Name      string
	Signature string // of its values, as Signature gives it
	Required  bool
	Secret    bool
	Command   bool // runs a program: not accepted from a sandbox
	Default   any  // nil if there is none
	Choices   []string
	Summary   string
}

// Signature is the type of a parameter's value as the bus writes it: "s", "b",
// "u" or "as"; "" for one that no parameter has.
func Signature(v any) string {
	switch v.(type) {
	case string:
		return "s"
	case bool:
		return "b"
	case uint32:
		return "u"
	case []string:
		return "as"
	}
	return ""
}
