package itemtest

import "math/rand/v2"

// card writes a person, or a group of the persons before it.
func (g *gen) card() Item {
	uid := g.uuid()
	version := g.one("3.0", "3.0", "4.0")
	prefix := ""
	if version == "4.0" {
		prefix = "urn:uuid:"
	}
	g.line("BEGIN:VCARD")
	g.line("VERSION:%s", version)
	g.line("PRODID:-//Example//Contacts 2.0//EN")
	g.line("UID:%s%s", prefix, uid)
	if len(g.known) > 3 && g.chance(4) {
		g.members(version)
	} else {
		g.known = append(g.known, uid)
		g.person(version)
	}
	g.line("REV:20%02d-%02d-%02dT%02d:00:00Z", 19+g.rng.IntN(7), 1+g.rng.IntN(12), 1+g.rng.IntN(28), g.rng.IntN(24))
	g.line("END:VCARD")
	return g.done(prefix + uid)
}

func (g *gen) members(version string) {
	g.line("FN:%s", g.text(2))
	kind, member := "X-ADDRESSBOOKSERVER-KIND", "X-ADDRESSBOOKSERVER-MEMBER"
	if version == "4.0" {
		kind, member = "KIND", "MEMBER"
	} else {
		g.line("N:%s;;;;", g.text(1))
	}
	g.line("%s:group", kind)
	for _, i := range g.rng.Perm(len(g.known))[:1+g.rng.IntN(min(12, len(g.known)))] {
		g.line("%s:urn:uuid:%s", member, g.known[i])
	}
}

func (g *gen) person(version string) {
	first, last := given[g.rng.IntN(len(given))], family[g.rng.IntN(len(family))]
	g.line("FN:%s %s", first, last)
	g.line("N:%s;%s;;;", last, first)
	for range g.rng.IntN(3) {
		g.line("EMAIL;TYPE=%s:%s", g.one("HOME", "WORK", "INTERNET,HOME", "work"), g.mail())
	}
	for range 1 + g.rng.IntN(3) {
		number := 1000000 + g.rng.IntN(8999999)
		if version == "4.0" {
			g.line(`TEL;VALUE=uri;TYPE="cell,voice":tel:+43-1-%d`, number)
		} else {
			g.line("TEL;TYPE=%s:+43 1 %d", g.one("CELL", "HOME", "WORK,VOICE"), number)
		}
	}
	if g.chance(60) {
		g.line("ADR;TYPE=%s:;;%s %d;%s;;%04d;%s", g.one("home", "work"), g.one("Hauptstraße", "Rue de l'Église", `High St\, rear`),
			1+g.rng.IntN(200), g.one("Wien", "Montréal", "København"), 1000+g.rng.IntN(8999), g.one("Österreich", "Canada", "日本"))
	}
	if g.chance(40) {
		g.line("ORG:%s;R&D", g.one(`Acme\, Inc.`, "Ünïcode GmbH", `Example\; Ltd`))
		g.line("TITLE:%s", g.one("Engineer", "Ärztin", "CEO"))
	}
	if g.chance(40) {
		g.line("BDAY:%04d-%02d-%02d", 1940+g.rng.IntN(70), 1+g.rng.IntN(12), 1+g.rng.IntN(28))
	}
	if g.chance(30) {
		g.line("NOTE:%s", g.text(5+g.rng.IntN(80)))
	}
	if g.chance(25) {
		g.line("item1.URL;TYPE=pref:https://example.org/~%s", g.mail()[:6])
		g.line("item1.X-ABLabel:_$!<HomePage>!$_")
	}
	if g.chance(15) {
		g.line("CATEGORIES:%s", g.one("Friends", "Friends,Work", "Familie"))
	}
	// Pictures of version 4.0 are in the corpus: a well-known server destroys them.
	if g.chance(16) && version == "3.0" {
		g.line("PHOTO;ENCODING=b;TYPE=JPEG:%s", g.base64(2000+g.rng.IntN(6000)))
	}
}

// Photo is a card with a picture, of about so many bytes in all.
func Photo(size int) []byte {
	g := &gen{rng: rand.New(rand.NewPCG(uint64(size), 0))}
	g.line("BEGIN:VCARD")
	g.line("VERSION:3.0")
	g.line("UID:photo-%d", size)
	g.line("FN:Zoë Łukasz")
	g.line("PHOTO;ENCODING=b;TYPE=JPEG:%s", g.base64(size*72/100))
	g.line("END:VCARD")
	return g.done("").Text
}
