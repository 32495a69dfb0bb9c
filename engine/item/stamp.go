package item

import "bytes"

// Seconds reads a time stamp, of a calendar (20240229T120000Z) or of a card
// (2024-02-29T12:00:00.5+01:00), as seconds since 1970. One without a zone is
// taken for UTC.
func Seconds(stamp []byte) (int64, bool) {
	s := bytes.ToUpper(stamp)
	date, clock, _ := bytes.Cut(s, []byte("T"))
	if len(date) == 10 && date[4] == '-' && date[7] == '-' {
		date = bytes.ReplaceAll(date, []byte("-"), nil)
	}
	d, ok := digits(date, 8)
	if !ok {
		return 0, false
	}
	year, month, day := d/10000, d/100%100, d%100
	if month < 1 || month > 12 || day < 1 || day > 31 {
		return 0, false
	}
	total := days(year, month, day) * 86400
	if len(clock) == 0 {
		return total, true
	}
	zone := bytes.IndexAny(clock, "Z+-")
	if zone < 0 {
		zone = len(clock)
	}
	ofDay, ok := secondsOfDay(clock[:zone])
	if !ok {
		return 0, false
	}
	shift, ok := offset(clock[zone:])
	return total + ofDay - shift, ok
}

// days counts the days from 1970-01-01 in the Gregorian calendar, with years
// that begin in March.
func days(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468
}

func secondsOfDay(clock []byte) (int64, bool) {
	clock, _, _ = bytes.Cut(clock, []byte("."))
	t, ok := digits(bytes.ReplaceAll(clock, []byte(":"), nil), 6)
	return t/10000*3600 + t/100%100*60 + t%100, ok
}

// offset reads "", "Z", "+01:00", "+0100" or "+01".
func offset(zone []byte) (int64, bool) {
	if len(zone) == 0 || string(zone) == "Z" {
		return 0, true
	}
	sign := int64(1)
	if zone[0] == '-' {
		sign = -1
	}
	hhmm := bytes.ReplaceAll(zone[1:], []byte(":"), nil)
	if len(hhmm) == 2 {
		hhmm = append(hhmm, "00"...)
	}
	n, ok := digits(hhmm, 4)
	return sign * (n/100*3600 + n%100*60), ok
}

func digits(s []byte, count int) (n int64, ok bool) {
	if len(s) != count {
		return 0, false
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
