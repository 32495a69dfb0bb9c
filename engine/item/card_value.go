package item

import (
	"bytes"
	"slices"
	"strings"
)

// noYear is the year that Apple's programs write where there is none, with a
// parameter that says so.
const (
	noYear     = "1604"
	noYearName = "X-APPLE-OMIT-YEAR"
)

// raiseDate writes a date of version 3 as version 4 does: without the marks
// between its parts. What is no date is a text.
func (f *field) raiseDate() {
	if strings.EqualFold(f.get("VALUE"), "text") {
		return
	}
	basic, ok := basicDate(f.value)
	if !ok {
		if f.name != "REV" && len(f.value) > 0 {
			f.drop("VALUE")
			f.add("VALUE", "text")
		}
		return
	}
	f.drop("VALUE", "date", "date-time")
	if year := f.get(noYearName); year != "" && bytes.HasPrefix(basic, []byte(year)) && len(basic) == 8 {
		f.drop(noYearName)
		basic = append([]byte("--"), basic[4:]...)
	}
	if !bytes.Equal(basic, f.value) {
		f.set(basic)
	}
}

// basicDate reads YYYY-MM-DD or YYYYMMDD, maybe with a time and a zone.
func basicDate(s []byte) ([]byte, bool) {
	date, clock, timed := bytes.Cut(s, []byte("T"))
	if len(date) == 10 && date[4] == '-' && date[7] == '-' {
		date = slices.Concat(date[:4], date[5:7], date[8:])
	}
	if _, ok := digits(date, 8); !ok || !timed {
		return date, ok
	}
	end := len(clock)
	if z := bytes.IndexAny(clock, "Z+-"); z >= 0 {
		end = z
	}
	zone := bytes.ReplaceAll(clock[end:], []byte(":"), nil)
	whole, _, _ := bytes.Cut(clock[:end], []byte("."))
	whole = bytes.ReplaceAll(whole, []byte(":"), nil)
	if _, ok := digits(whole, 6); !ok {
		return nil, false
	}
	return slices.Concat(date, []byte("T"), whole, zone), true
}

// lowerDate writes a date of version 4 as version 3 does. It fails for one that
// lacks more than the year.
func (f *field) lowerDate() bool {
	if strings.EqualFold(f.get("VALUE"), "text") || len(f.value) == 0 {
		return true
	}
	f.drop("VALUE", "date-and-or-time", "date", "date-time", "timestamp")
	f.drop("CALSCALE")
	s := f.value
	if len(s) == 6 && string(s[:2]) == "--" {
		if _, ok := digits(s[2:], 4); ok {
			f.set(slices.Concat([]byte(noYear+"-"), s[2:4], []byte("-"), s[4:]))
			f.add(noYearName, noYear)
			return true
		}
	}
	basic, ok := basicDate(s)
	if !ok {
		return false
	}
	long := slices.Concat(basic[:4], []byte("-"), basic[4:6], []byte("-"), basic[6:8])
	if len(basic) > 8 {
		zone := basic[15:]
		if len(zone) == 5 {
			zone = slices.Concat(zone[:3], []byte(":"), zone[3:])
		}
		long = slices.Concat(long, basic[8:11], []byte(":"), basic[11:13], []byte(":"), basic[13:15], zone)
		if f.name != "REV" {
			f.add("VALUE", "date-time")
		}
	}
	if !bytes.Equal(long, s) {
		f.set(long)
	}
	return true
}

func (f *field) raiseGeo() {
	plain := bytes.ReplaceAll(f.value, []byte(`\`), nil)
	if lat, lon, ok := bytes.Cut(plain, []byte(";")); ok && !bytes.ContainsAny(lon, ";:") {
		f.set(slices.Concat([]byte("geo:"), bytes.TrimSpace(lat), []byte(","), bytes.TrimSpace(lon)))
	}
}

func (f *field) lowerGeo() bool {
	place, ok := cutFold(f.value, "geo:")
	if !ok {
		return false
	}
	place, _, _ = bytes.Cut(place, []byte(";"))
	parts := bytes.Split(place, []byte(","))
	if len(parts) < 2 {
		return false
	}
	f.drop("VALUE")
	f.set(slices.Concat(parts[0], []byte(";"), parts[1]))
	return true
}

// raiseZone writes -05:00 as -0500, and says that it is an offset.
func (f *field) raiseZone() {
	if strings.EqualFold(f.get("VALUE"), "text") {
		f.drop("VALUE")
		return
	}
	if s := bytes.ReplaceAll(f.value, []byte(":"), nil); isOffset(s) {
		f.drop("VALUE")
		f.add("VALUE", "utc-offset")
		f.set(s)
	}
}

func (f *field) lowerZone() {
	s := bytes.ReplaceAll(f.value, []byte(":"), nil)
	switch value := strings.ToLower(f.get("VALUE")); {
	case isOffset(s) && value != "uri":
		f.drop("VALUE")
		f.set(slices.Concat(s[:3], []byte(":"), s[3:]))
	case value == "":
		f.add("VALUE", "text")
	}
}

// isOffset tells +HHMM or -HHMM.
func isOffset(s []byte) bool {
	if len(s) != 5 || s[0] != '+' && s[0] != '-' {
		return false
	}
	_, ok := digits(s[1:], 4)
	return ok
}
