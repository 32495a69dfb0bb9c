package webcal

import (
	"bytes"
	"encoding/binary"
	"mime"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// utf8Text is the text in UTF-8. A text that is UTF-8 is left as it is, whatever
// the server says of it, but for a mark at its beginning.
func utf8Text(text []byte, contentType string) []byte {
	if rest, ok := bytes.CutPrefix(text, []byte("\xef\xbb\xbf")); ok {
		return rest
	}
	if wide := utf16Text(text); wide != nil {
		return wide
	}
	if utf8.Valid(text) {
		return text
	}
	_, params, _ := mime.ParseMediaType(contentType)
	switch strings.ToLower(params["charset"]) {
	case "iso-8859-1", "latin1", "windows-1252", "cp1252", "us-ascii":
		return westernText(text)
	}
	return text
}

// utf16Text decodes a text that begins with a UTF-16 mark; nil for any other.
func utf16Text(text []byte) []byte {
	var order binary.ByteOrder
	switch {
	case len(text) < 2 || len(text)%2 != 0:
		return nil
	case text[0] == 0xff && text[1] == 0xfe:
		order = binary.LittleEndian
	case text[0] == 0xfe && text[1] == 0xff:
		order = binary.BigEndian
	default:
		return nil
	}
	units := make([]uint16, 0, len(text)/2)
	for i := 2; i < len(text); i += 2 {
		units = append(units, order.Uint16(text[i:]))
	}
	return []byte(string(utf16.Decode(units)))
}

// western is what windows-1252 has where ISO 8859-1 has controls. Servers say
// one and send the other.
var western = []rune("€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ")

func westernText(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/8)
	for _, c := range text {
		r := rune(c)
		if c >= 0x80 && c < 0xa0 {
			r = western[c-0x80]
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}
