package item_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"davbus.org/davbus/engine"
	"davbus.org/davbus/engine/item"
	"davbus.org/davbus/engine/item/itemtest"
)

// vcard is a card with these lines.
func vcard(version string, lines ...string) []byte {
	all := append([]string{"BEGIN:VCARD", "VERSION:" + version, "UID:c1"}, lines...)
	return []byte(strings.Join(append(all, "END:VCARD", ""), "\r\n"))
}

// sayings are lines of version 3 and what they are in version 4, both ways.
var sayings = []struct{ what, v3, v4 string }{
	{"what both say alike", "NOTE:a\\, b\\nc\\; d", "NOTE:a\\, b\\nc\\; d"},
	{"the preferred", "TEL;TYPE=home;TYPE=pref:+43 1", "TEL;TYPE=home;PREF=1:+43 1"},
	{"the only type is preferred", "EMAIL;TYPE=pref:a@example.org", "EMAIL;PREF=1:a@example.org"},
	{"a photo", "PHOTO;ENCODING=b;TYPE=JPEG:/9j/AAAA", "PHOTO:data:image/jpeg;base64,/9j/AAAA"},
	{"a logo at home", "LOGO;TYPE=work;ENCODING=b;TYPE=PNG:iVBORw0K", "LOGO;TYPE=work:data:image/png;base64,iVBORw0K"},
	{"a drawing", "PHOTO;ENCODING=b;TYPE=SVG:PHN2Zz4=", "PHOTO:data:image/svg+xml;base64,PHN2Zz4="},
	{"a sound", "SOUND;ENCODING=b;TYPE=OGG:T2dnUw==", "SOUND:data:audio/ogg;base64,T2dnUw=="},
	{"a photo elsewhere", "PHOTO;VALUE=uri;TYPE=GIF:https://example.org/a.gif", "PHOTO;MEDIATYPE=image/gif:https://example.org/a.gif"},
	{"a key", "KEY;ENCODING=b;TYPE=PGP:mQENBFxy", "KEY:data:application/pgp-keys;base64,mQENBFxy"},
	{"a certificate", "KEY;ENCODING=b;TYPE=X509:MIIB", "KEY:data:application/pkix-cert;base64,MIIB"},
	{"a key as text", "KEY;VALUE=text:abc", "KEY;VALUE=text:abc"},
	{"a birthday", "BDAY:1996-04-15", "BDAY:19960415"},
	{"a birthday with a time", "BDAY;VALUE=date-time:1953-10-15T23:10:00-05:00", "BDAY:19531015T231000-0500"},
	{"a birthday in words", "BDAY;VALUE=text:circa 1800", "BDAY;VALUE=text:circa 1800"},
	{"a birthday without a year", "BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-15", "BDAY:--0415"},
	{"an anniversary", "X-ANNIVERSARY:2009-08-08", "ANNIVERSARY:20090808"},
	{"a gender", "X-GENDER:F;woman", "GENDER:F;woman"},
	{"a kind", "X-ADDRESSBOOKSERVER-KIND:group", "KIND:group"},
	{"a member", "X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:1", "MEMBER:urn:uuid:1"},
	{"a place", "GEO:37.386013;-122.082932", "GEO:geo:37.386013,-122.082932"},
	{"an offset", "TZ:-05:00", "TZ;VALUE=utc-offset:-0500"},
	{"a zone", "TZ;VALUE=text:Europe/Vienna", "TZ:Europe/Vienna"},
	{"an agent elsewhere", "AGENT;VALUE=uri:urn:uuid:2", "RELATED;TYPE=agent:urn:uuid:2"},
	{"an agent inside", `AGENT:BEGIN:VCARD\nFN:A\nEND:VCARD\n`, `AGENT:BEGIN:VCARD\nFN:A\nEND:VCARD\n`},
	{"a chat", "IMPP;TYPE=personal;TYPE=pref:im:a@example.org", "IMPP;TYPE=personal;PREF=1:im:a@example.org"},
	{"what version 4 has no name for", "CLASS:PRIVATE", "CLASS:PRIVATE"},
	{"what programs name themselves", "X-JABBER;TYPE=pref:a@example.org", "X-JABBER;TYPE=pref:a@example.org"},
	{"a label", "ADR;TYPE=home:;;1 Way;Wien;;1010;\r\nLABEL;TYPE=home:1 Way\\nWien\\, \\\"A\\\"",
		"ADR;TYPE=home:;;1 Way;Wien;;1010;\r\nLABEL;TYPE=home:1 Way\\nWien\\, \\\"A\\\""},
	{"a label in its address", "ADR;TYPE=home:;;1 Way;Wien;;1010;\r\nLABEL;TYPE=home:1 Way\\n1010 Wien\\, AT",
		"ADR;TYPE=home;LABEL=\"1 Way\\n1010 Wien, AT\":;;1 Way;Wien;;1010;"},
	{"labels of two addresses", "ADR;TYPE=home:;;1 Way;;;;\r\nADR;TYPE=work:;;2 Ways;;;;\r\nLABEL;TYPE=work:Two\r\nLABEL;TYPE=home:One",
		"ADR;TYPE=home;LABEL=One:;;1 Way;;;;\r\nADR;TYPE=work;LABEL=Two:;;2 Ways;;;;"},
	{"the order of a name", "N:van der Harten;Rene;;;\r\nSORT-STRING:Harten\\,Rene", "N;SORT-AS=\"Harten,Rene\":van der Harten;Rene;;;"},
}

func TestEachVersionOfVCardSaysWhatTheOtherDid(t *testing.T) {
	for _, s := range sayings {
		name := "N:Smith;A;;;"
		if strings.HasPrefix(s.v3, "N:") {
			name = "NOTE:."
		}
		v3, v4 := vcard("3.0", "FN:A", name, s.v3), vcard("4.0", "FN:A", name, s.v4)
		if got := item.As(v3, engine.VCard4, nil); item.Sum(got) != item.Sum(v4) {
			t.Errorf("%s: in version 4 it is\n%s", s.what, got)
		}
		if got := item.As(v4, engine.VCard3, nil); item.Sum(got) != item.Sum(v3) {
			t.Errorf("%s: in version 3 it is\n%s", s.what, got)
		}
		if !item.Alike(v3, v4) || !item.Alike(v4, v3) {
			t.Errorf("%s: the two are not alike", s.what)
		}
	}
}

func TestWhatOneVersionOfVCardCannotSayIsLeftOutThere(t *testing.T) {
	v4 := vcard("4.0", "FN;ALTID=1:A", "FN;ALTID=1;PREF=1;LANGUAGE=fr:B", "TEL;VALUE=uri;PREF=3;TYPE=\"cell,voice\":tel:+1-2;ext=3",
		"LANG:fr", "RELATED;TYPE=spouse:urn:uuid:9", "CLIENTPIDMAP:1;urn:uuid:7", "BDAY:--04", "GEO:https://example.org/here")
	v3 := vcard("3.0", "FN;LANGUAGE=fr;TYPE=pref:B", "N:;;;;", "TEL;TYPE=cell,voice:+1-2\\;ext=3")
	if got := item.As(v4, engine.VCard3, nil); item.Sum(got) != item.Sum(v3) {
		t.Errorf("in version 3 it is\n%s", got)
	}
	if !item.Alike(v3, v4) {
		t.Error("a card of version 3 that says all it can is not alike")
	}
	if item.Alike(v4, v3) {
		t.Error("a card of version 4 that says more is alike")
	}
	if got := item.As(v3, engine.VCard4, v4); !bytes.Equal(got, v4) {
		t.Errorf("back again it is\n%s", got)
	}
}

func TestSloppyCardsOfVersion3AreUnderstood(t *testing.T) {
	v3 := vcard("3.0", "N:Smith;Ann;;;", "TEL;HOME;PREF:1", "PHOTO;BASE64;JPEG:/9j/AAAA", "LOGO;ENCODING=B:iVBORw0K", "SOUND;ENCODING=b:AAAA",
		"URL:http\\://example.org", "GEO:1.5\\;-2.5", "NOTE;CHARSET=ISO-8859-1:\xe9", "TITLE;CHARSET=UTF-8:é", "BDAY:soon", "REV:2020-01-02T03:04:05.678Z")
	v4 := vcard("4.0", "N:Smith;Ann;;;", "TEL;TYPE=HOME;PREF=1:1", "PHOTO:data:image/jpeg;base64,/9j/AAAA", "LOGO:data:image/png;base64,iVBORw0K",
		"SOUND:data:application/octet-stream;base64,AAAA", "URL:http://example.org", "GEO:geo:1.5,-2.5", "NOTE:é", "TITLE:é", "BDAY;VALUE=text:soon", "FN:Ann Smith")
	got := item.As(v3, engine.VCard4, nil)
	if item.Sum(got) != item.Sum(v4) || !bytes.Contains(got, []byte("REV:20200102T030405Z")) {
		t.Errorf("in version 4 it is\n%s", got)
	}
}

// An edit of a card in the other version changes its own lines and no others.
func TestAnEditInTheOtherVersionKeepsEveryOtherLine(t *testing.T) {
	v4 := vcard("4.0", "N;SORT-AS=Smith:Smith;A;;;", "note:far", "EMAIL;PID=1.1;PREF=2;TYPE=work:a@example.org", "LANG:fr", "TEL;VALUE=uri:tel:+1",
		"ADR;GEO=\"geo:1,2\";TYPE=home;LABEL=\"x\":;;1 Way;;;;", "PHOTO:data:image/png;base64,", " iVBORw0K", "FN:A")
	v3 := item.As(v4, engine.VCard3, nil)
	for _, e := range []struct{ was, is, line, want string }{
		{"a@example.org", "b@example.org", "EMAIL;PID=1.1;PREF=2;TYPE=work:a@example.org", "EMAIL;TYPE=work;PID=1.1;PREF=2:b@example.org"},
		{"NOTE:far\r\n", "NOTE:near\r\n", "note:far\r\n", "NOTE:near\r\n"},
		{"TEL:+1\r\n", "TEL:+2\r\n", "TEL;VALUE=uri:tel:+1\r\n", "TEL:+2\r\n"},
		{"1 Way", "2 Ways", "ADR;GEO=\"geo:1,2\";TYPE=home;LABEL=\"x\":;;1 Way;;;;", "ADR;TYPE=home;LABEL=x:;;2 Ways;;;;"},
		{"NOTE:far\r\n", "", "note:far\r\n", ""},
		{"END:VCARD", "X-NEW:1\r\nEND:VCARD", "END:VCARD", "X-NEW:1\r\nEND:VCARD"},
	} {
		got := item.As([]byte(strings.Replace(strings.ReplaceAll(string(v3), "note:", "NOTE:"), e.was, e.is, 1)), engine.VCard4, v4)
		if want := strings.Replace(string(v4), e.line, e.want, 1); string(got) != want {
			t.Errorf("%q instead of %q gives\n%s", e.is, e.was, got)
		}
	}
}

// checkVersions checks the laws of As for any text.
func checkVersions(t *testing.T, name string, text []byte) (same bool) {
	t.Helper()
	own, other := item.Format(text), engine.VCard3
	if own == other {
		other = engine.VCard4
	}
	there := item.As(text, other, nil)
	if own == "" {
		if !bytes.Equal(there, text) {
			t.Errorf("%s: what is of no known version was changed", name)
		}
		return false
	}
	if f := item.Format(there); f != other && !bytes.Equal(there, text) {
		t.Errorf("%s: it became %q:\n%s", name, f, there)
	}
	if item.Read(text).UID != item.Read(there).UID {
		t.Errorf("%s: it got another UID:\n%s", name, there)
	}
	if back := item.As(there, own, text); !bytes.Equal(back, text) {
		t.Errorf("%s: there and back beside itself it is\n%s", name, back)
	}
	back := item.As(there, own, nil)
	same = item.Sum(back) == item.Sum(text)
	if !item.Alike(there, text) && (same || own == engine.VCard4) {
		t.Errorf("%s: it is not alike:\n%s", name, there)
	}
	return same
}

func TestCardsThereAndBackAreTheSame(t *testing.T) {
	const seed = 28
	same, all := 0, itemtest.Gen(seed, 800, engine.AddressBook)
	for _, c := range all {
		if checkVersions(t, string(c.UID), c.Text) {
			same++
			continue
		}
		// Spelled anew it is as stable as others.
		if back := item.As(item.As(c.Text, engine.VCard3, nil), engine.VCard4, nil); !checkVersions(t, string(c.UID)+" again", back) {
			t.Errorf("%s: once more it is another:\n%s", c.UID, back)
		}
	}
	// The generator's cards of version 4 have numbers as tel: URIs and dates with
	// dashes; those of version 3 come back as they were without anything beside them.
	if same < len(all)/2 {
		t.Errorf("only %d of %d cards are the same without the first beside them", same, len(all))
	}
	if t.Failed() {
		t.Logf("seed %d", seed)
	}
}

// respelled are the cards, of our corpus and of others', that are spelled in
// another way, or are poorer, when they come back from the other version and
// nothing says how they were. Beside their first text they are what they were.
var respelled = []string{
	// What is preferred is written in lower case, a media type in capitals.
	"card-key.vcf", "card-many-types.vcf", "card-photo-uri.vcf", "thunderbird-MoreFunctionsForAddressBook-extension.vcf",
	"John_Doe_IPHONE.vcf", "John_Doe_LOTUS_NOTES.vcf", "John_Doe_MAC_ADDRESS_BOOK.vcf",
	// No colon is escaped in a URL, and a name has an FN and an N.
	"John_Doe_GMAIL.vcf", "gmail-single.vcf", "gmail-single2.vcf", "escape_semicolon.vcf",
	"card-no-fn.vcf", "card-no-n.vcf", "card-version-last.vcf", "made-10-KB-photo.vcf", "made-1-MB-photo.vcf",
	// Version 4: a tel: URI becomes a number; LANG, PREF=2, ALTID and a second FN
	// have no place in version 3; a date gets its dashes.
	"card-4.vcf", "card-alternatives.vcf", "card-label.vcf", "vcard.vcf", "vcard_author.vcf", "vcard_grouped.vcf",
	"rfc6350-example.vcf", "fullcontact.vcf", "issue114.vcf",
	// Both: a label is joined to its address; an N too many.
	"vcard3.vcf",
}

// An edit in one version is the same edit in the other.
func TestAnEditMeansTheSameInBothVersions(t *testing.T) {
	const seed = 29
	rng := rand.New(rand.NewPCG(seed, 0))
	for n, c := range itemtest.Gen(seed, 500, engine.AddressBook) {
		own, other := item.Format(c.Text), engine.VCard3
		if own == other {
			other = engine.VCard4
		}
		there := item.As(c.Text, other, nil)
		edited := itemtest.Edit(rng, there)
		back := item.As(edited, own, c.Text)
		if item.Sum(back) == item.Sum(c.Text) {
			t.Fatalf("seed %d card %d: the edit is lost:\n%s\n%s", seed, n, edited, back)
		}
		if again := item.As(back, other, edited); !item.Same(again, edited) {
			t.Fatalf("seed %d card %d: the edit becomes another:\n%s\n%s", seed, n, edited, again)
		}
		if !item.Alike(edited, back) {
			t.Fatalf("seed %d card %d: what comes of the edit is not alike:\n%s\n%s", seed, n, edited, back)
		}
		checkVersions(t, "edited", edited)
	}
}

func TestAnythingInAnyVersionIsTakenAsItIs(t *testing.T) {
	for _, text := range [][]byte{nil, []byte("BEGIN:VCARD\r\nVERSION:2.1\r\nN:A\r\nEND:VCARD\r\n"), []byte("BEGIN:VCARD\r\nVERSION:3.0\r\nN:A"),
		slicesOf(vcard("3.0", "FN:A"), vcard("3.0", "FN:B")), []byte("BEGIN:VCALENDAR\r\nVERSION:3.0\r\nEND:VCALENDAR\r\n")} {
		if got := item.As(text, engine.VCard4, nil); !bytes.Equal(got, text) {
			t.Errorf("%q became %q", text, got)
		}
	}
	if got := item.Fit([]string{engine.VCard3}, vcard("4.0", "FN:A")); got != engine.VCard3 {
		t.Errorf("it goes as %q", got)
	}
	for _, formats := range [][]string{nil, {}, {"jcard"}, {engine.VCard3, engine.VCard4}} {
		if got := item.Fit(formats, vcard("4.0", "FN:A")); got != engine.VCard4 {
			t.Errorf("to one that takes %q it goes as %q", formats, got)
		}
	}
}

func slicesOf(texts ...[]byte) []byte { return bytes.Join(texts, nil) }
