package ledger

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"fmt"
	"io"

	"davbus.org/davbus/engine"
)

// A TextID names a text in the ledger; 0 names none.
type TextID int64

// Text keeps a text, once for all who have the same bytes.
func (t *tx) Text(text []byte) (TextID, error) {
	sha := sha256.Sum256(text)
	var id int64
	found, err := t.one([]any{&id}, `SELECT id FROM texts WHERE sha = ?`, sha[:])
	if err != nil || found {
		return TextID(id), err
	}
	data, packed := t.w.pack(text)
	id, err = t.insert(`INSERT INTO texts (sha, packed, data) VALUES (?, ?, ?)`, sha[:], packed, data)
	return TextID(id), err
}

// TextOf reads a text within a change.
func (t *tx) TextOf(id TextID) ([]byte, error) {
	var data []byte
	var packed bool
	found, err := t.one([]any{&packed, &data}, `SELECT packed, data FROM texts WHERE id = ?`, id)
	if err != nil || !found {
		return nil, err
	}
	return unpack(data, packed)
}

// Text reads a text; nil for 0.
func (s *Set) Text(id TextID) ([]byte, error) { return s.ledger.text(id) }

func (l *Ledger) text(id TextID) ([]byte, error) {
	if id == 0 {
		return nil, nil
	}
	var sha, data []byte
	var packed bool
	if err := l.read.QueryRow(`SELECT sha, packed, data FROM texts WHERE id = ?`, id).Scan(&sha, &packed, &data); err != nil {
		return nil, fail("read a text of", err)
	}
	text, err := unpack(data, packed)
	if err == nil && sha256.Sum256(text) != engine.Sum(sha) {
		err = fmt.Errorf("it is not the text that was stored")
	}
	if err != nil {
		return nil, l.condemn(fmt.Sprintf("text %d", id))
	}
	return text, nil
}

// pack compresses a text where that makes it smaller. Speed counts for more
// than size: a first sync packs every text of a person.
func (w *writer) pack(text []byte) (data []byte, packed bool) {
	if len(text) < 128 {
		return append([]byte{}, text...), false
	}
	var buf bytes.Buffer
	if w.packer == nil {
		w.packer, _ = flate.NewWriter(&buf, flate.BestSpeed) // fails only for a level that is none
	} else {
		w.packer.Reset(&buf)
	}
	if _, err := w.packer.Write(text); err != nil || w.packer.Close() != nil || buf.Len() >= len(text) {
		return append([]byte{}, text...), false
	}
	return buf.Bytes(), true
}

func unpack(data []byte, packed bool) ([]byte, error) {
	if !packed {
		return data, nil
	}
	r := flate.NewReader(bytes.NewReader(data))
	defer r.Close()
	return io.ReadAll(r)
}
