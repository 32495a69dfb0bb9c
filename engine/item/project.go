package item

// A Keep tells what a member over a poorer format can keep: a component, asked
// with an empty property, or a property of one. Names are in capitals, without
// groups. A nil Keep keeps everything.
type Keep func(component, property string) bool

// Project leaves out of a text what keep does not keep. The lines that stay keep
// their bytes.
func Project(text []byte, keep Keep) []byte {
	if keep == nil {
		return text
	}
	out := make([]byte, 0, len(text))
	left := 0 // depth of the component that is being left out; 0 if none is
	for r := read(text); ; {
		switch step := r.step(); {
		case step == stop:
			return append(out, r.raw...)
		case left > 0:
			if step == end && len(r.open) == left {
				left = 0
			}
			continue
		case step == begin && !keep(string(r.name()), ""):
			left = len(r.open)
			continue
		case step == property && !keep(string(r.name()), string(appendUpper(nil, r.base()))):
			continue
		}
		out = append(out, r.raw...)
	}
}
