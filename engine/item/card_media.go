package item

import (
	"bytes"
	"slices"
	"strings"
)

// unknownMedia is the media type of what version 3 gives none.
const unknownMedia = "application/octet-stream"

// media are the types of which version 3 has a short name that does not follow
// from the long one.
var media = [...]struct{ short, long string }{
	{"JPEG", "image/jpeg"}, {"JPG", "image/jpeg"}, {"SVG", "image/svg+xml"},
	{"PGP", "application/pgp-keys"}, {"X509", "application/pkix-cert"}, {"", unknownMedia},
}

// signs are how pictures begin, in base64.
var signs = [...]struct{ sign, long string }{{"/9j/", "image/jpeg"}, {"iVBOR", "image/png"}, {"R0lGOD", "image/gif"}}

// raiseMedia writes what stands in a card as a data: URI, in the same letters.
func (f *field) raiseMedia() {
	inline := f.drop("ENCODING", "b", "base64")
	switch kind := strings.ToLower(f.get("VALUE")); {
	case inline:
		f.drop("VALUE", "binary", "inline")
		data := bytes.Join(bytes.Fields(f.value), nil)
		long := f.dropMedia()
		for _, s := range signs {
			if long == "" && f.name != "KEY" && bytes.HasPrefix(data, []byte(s.sign)) {
				long = s.long
			}
		}
		if long == "" {
			long = unknownMedia
		}
		f.set(slices.Concat([]byte("data:"+long+";base64,"), data))
	case kind == "uri", kind == "url", kind == "" && f.isURI():
		f.drop("VALUE")
		if long := f.dropMedia(); long != "" {
			f.add("MEDIATYPE", long)
		}
	case kind == "" && f.name == "KEY":
		f.add("VALUE", "text")
	}
}

func (f *field) isURI() bool {
	_, data := cutFold(f.value, "data:")
	return data || bytes.Contains(f.value, []byte("://"))
}

// dropMedia takes the media type out of the types and gives its long name; "" if
// there is none.
func (f *field) dropMedia() string {
	for _, t := range f.types() {
		if slices.Contains([]string{"home", "work", "pref", "other", "internet"}, t) || strings.HasPrefix(t, "x-") {
			continue
		}
		f.drop("TYPE", t)
		return longMedia(f.name, t)
	}
	return ""
}

func longMedia(name, short string) string {
	if strings.Contains(short, "/") {
		return short
	}
	for _, m := range media {
		if strings.EqualFold(m.short, short) {
			return m.long
		}
	}
	return mediaClass(name) + short
}

// mediaClass is what the media types of a property begin with.
func mediaClass(name string) string {
	switch name {
	case "SOUND":
		return "audio/"
	case "KEY":
		return "application/"
	}
	return "image/"
}

func shortMedia(name, long string) string {
	for _, m := range media {
		if strings.EqualFold(m.long, long) {
			return m.short
		}
	}
	if sub, is := cutFold([]byte(long), mediaClass(name)); is && !bytes.ContainsAny(sub, "+.") {
		return strings.ToUpper(string(sub))
	}
	return long
}

// lowerMedia writes a data: URI as version 3 does. Any other URI stays one.
func (f *field) lowerMedia(long string) {
	if strings.EqualFold(f.get("VALUE"), "text") {
		return
	}
	f.drop("VALUE")
	if own, data, is := inData(f.value); is {
		f.set(data)
		f.add("ENCODING", "b")
		long = own
	} else {
		f.add("VALUE", "uri")
	}
	if short := shortMedia(f.name, long); long != "" && short != "" {
		f.add("TYPE", short)
	}
}

// inData takes a data: URI in base64 apart.
func inData(uri []byte) (long string, data []byte, ok bool) {
	rest, ok := cutFold(uri, "data:")
	if !ok {
		return "", nil, false
	}
	head, data, ok := bytes.Cut(rest, []byte(","))
	head = bytes.TrimSuffix(bytes.ReplaceAll(head, []byte(`\;`), []byte(";")), []byte(`\`)) // some programs escape
	head, is := bytes.CutSuffix(head, []byte(";base64"))
	if !ok || !is || bytes.ContainsAny(head, `;"`) {
		return "", nil, false
	}
	return strings.ToLower(string(head)), data, true
}
