package vdir

import (
	"strconv"
	"strings"
	"time"

	"davbus.org/davbus/engine"
	"golang.org/x/sys/unix"
)

// slowTick is how long the clock of a file system with whole seconds stands
// still (FAT: two of them).
const slowTick = 3 * time.Second

// A stamp is what a file system tells of one version of a file. A change of the
// file changes the stamp, except a second change within one tick.
type stamp struct {
	ino, size    uint64
	mtime, ctime int64 // ns
	mode         uint32
}

func stampOf(st *unix.Stat_t) stamp {
	return stamp{uint64(st.Ino), uint64(st.Size), st.Mtim.Nano(), st.Ctim.Nano(), uint32(st.Mode)}
}

func (s stamp) regular() bool { return s.mode&unix.S_IFMT == unix.S_IFREG }

// sameFile reports whether two stamps are of one text of one file, renamed or
// not: a rename moves ctime.
func (s stamp) sameFile(o stamp) bool {
	return s.ino == o.ino && s.size == o.size && s.mtime == o.mtime
}

// fresh reports whether the file can change after now without a new stamp. now
// is what clock gave: what changes later is stamped with it or with a later time.
func (s stamp) fresh(now time.Time) bool {
	last := max(s.mtime, s.ctime)
	if s.mtime%int64(time.Second) == 0 && s.ctime%int64(time.Second) == 0 {
		last += int64(slowTick)
	}
	return now.UnixNano() <= last
}

// version is the etag without a time of observation.
func (s stamp) version() string {
	b := make([]byte, 0, 64)
	if !s.regular() {
		b = append(b, 'x')
	}
	b = strconv.AppendUint(b, s.ino, 36)
	b = append(b, '.')
	b = strconv.AppendUint(b, s.size, 36)
	b = append(b, '.')
	b = strconv.AppendInt(b, s.mtime, 36)
	b = append(b, '.')
	b = strconv.AppendInt(b, s.ctime, 36)
	return string(b)
}

// etag is the etag of the file as seen at now. That of a fresh file is never
// given again, so that the file is read once more when it has come to rest (git
// calls such a file racily clean).
func (s stamp) etag(now time.Time) engine.Etag {
	if s.fresh(now) {
		return engine.Etag(s.version()) + never(now)
	}
	return engine.Etag(s.version())
}

// never is the end of an etag that is not given twice.
func never(now time.Time) engine.Etag {
	return engine.Etag("~" + strconv.FormatInt(now.UnixNano(), 36))
}

// names reports whether an etag, fresh or not, is of this stamp.
func (s stamp) names(e engine.Etag) bool {
	v, _, _ := strings.Cut(string(e), "~")
	return v == s.version()
}
