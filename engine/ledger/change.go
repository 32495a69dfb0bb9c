package ledger

import (
	"davbus.org/davbus/engine"
)

// Member finds or makes the member of a name and identity.
func (c *Change) Member(name engine.MemberID, identity string) (int64, error) {
	var id int64
	found, err := c.one([]any{&id}, `SELECT id FROM members WHERE set_id = ? AND member = ? AND identity = ?`, c.set, bytesOf(name), bytesOf(identity))
	if err != nil || found {
		return id, err
	}
	return c.insert(`INSERT INTO members (set_id, member, identity) VALUES (?, ?, ?)`, c.set, bytesOf(name), bytesOf(identity))
}

// Surveyed records that a member was read to its end: up to a token, and at a
// state. Everything that was seen must be recorded before, or in the same Do.
// The later of two surveys of a set is the later one whatever the clock does.
func (c *Change) Surveyed(member int64, token engine.Token, state string) error {
	return c.exec(`UPDATE members SET token = ?, state = ?, surveyed = max(?, (SELECT max(surveyed) + 1 FROM members WHERE set_id = ?)) WHERE id = ?`,
		bytesOf(token), bytesOf(state), micros(c.now), c.set, member)
}

// Unmoor forgets a member's token and state: the next survey lists everything.
func (c *Change) Unmoor(member int64) error {
	return c.exec(`UPDATE members SET token = x'', state = x'' WHERE id = ?`, member)
}

// PutItem stores what was agreed about an item and gives a new one its ID.
func (c *Change) PutItem(i *Item) error {
	if i.At.IsZero() {
		i.At = c.now
	}
	if i.ID == 0 {
		id, err := c.insert(`INSERT INTO items (set_id, key, uid, version, sum, text, components, job, origin, rule, at, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			c.set, bytesOf(i.Key), bytesOf(i.UID), i.Version, i.Sum[:], i.Text, i.Components, i.Job, bytesOf(i.Origin), i.Rule, micros(i.At), i.check())
		i.ID = id
		return err
	}
	return c.exec(`UPDATE items SET uid = ?, version = ?, sum = ?, text = ?, components = ?, job = ?, origin = ?, rule = ?, at = ?, checksum = ? WHERE id = ?`,
		bytesOf(i.UID), i.Version, i.Sum[:], i.Text, i.Components, i.Job, bytesOf(i.Origin), i.Rule, micros(i.At), i.check(), i.ID)
}

// ForgetItem drops an item and every mark of it.
func (c *Change) ForgetItem(id int64) error { return c.exec(`DELETE FROM items WHERE id = ?`, id) }

// PutMark stores a mark.
func (c *Change) PutMark(m Mark) error {
	return c.exec(`INSERT OR REPLACE INTO marks (member_id, item_id, ref, etag, sum, version, text, uid, gone, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		m.Member, m.Item, bytesOf(m.Ref), bytesOf(m.Etag), m.Sum[:], m.Version, m.Text, bytesOf(m.UID), m.Gone, m.check())
}

// PutSeen stores what was seen under a ref; DropSeen forgets it.
func (c *Change) PutSeen(s Seen) error {
	return c.exec(`INSERT OR REPLACE INTO seen (member_id, ref, etag, sum, text, uid, components, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		s.Member, bytesOf(s.Ref), bytesOf(s.Etag), s.Sum[:], s.Text, bytesOf(s.UID), s.Components, s.Status)
}

func (c *Change) DropSeen(member int64, ref engine.Ref) error {
	return c.exec(`DELETE FROM seen WHERE member_id = ? AND ref = ?`, member, bytesOf(ref))
}

// Intend records a write before it is made; what it overwrites goes to history
// with it.
func (c *Change) Intend(i *Intent, v engine.Version) error {
	var err error
	if i.Was != 0 {
		if i.History, err = c.Keep(v, i.Was); err != nil {
			return err
		}
	}
	i.ID, err = c.insert(`INSERT INTO intents (member_id, key, verb, version, ref, etag, sum, text, was, history, job) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		i.Member, bytesOf(i.Key), i.Verb, i.Version, bytesOf(i.Old.Ref), bytesOf(i.Old.Etag), i.Sum[:], i.Text, i.Was, i.History, i.Job)
	return err
}

// Settle clears an intent: its outcome is known. One that changed nothing takes
// its entry in history back.
func (c *Change) Settle(i Intent, made bool) error {
	if !made && i.History != 0 {
		if err := c.Unkeep(i.History); err != nil {
			return err
		}
	}
	return c.exec(`DELETE FROM intents WHERE id = ?`, i.ID)
}
