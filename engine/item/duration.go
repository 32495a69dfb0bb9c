package item

import (
	"strconv"
	"strings"
)

// appendDuration writes a duration in days and seconds, since servers write
// PT75M as PT1H15M. A day is not 24 hours: not on the day when clocks change.
// What is no duration is written as it is.
func appendDuration(dst, value []byte) []byte {
	negative, days, seconds, ok := duration(value)
	if !ok {
		return append(dst, value...)
	}
	if negative && days+seconds > 0 {
		dst = append(dst, '-')
	}
	dst = strconv.AppendUint(append(dst, 'P'), days, 10)
	dst = strconv.AppendUint(append(dst, 'D', 'T'), seconds, 10)
	return append(dst, 'S')
}

// duration reads "-P1W", "P1DT12H" and the like.
func duration(s []byte) (negative bool, days, seconds uint64, ok bool) {
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		negative = s[0] == '-'
		s = s[1:]
	}
	if len(s) < 3 || s[0] != 'P' {
		return false, 0, 0, false
	}
	s = s[1:]
	for units := "WDTHMS"; len(s) > 0; {
		n, length := number(s)
		if length == len(s) || length > 9 {
			return false, 0, 0, false
		}
		unit := s[length]
		at := strings.IndexByte(units, unit)
		inTime, timeBegun := strings.IndexByte("HMS", unit) >= 0, !strings.Contains(units, "T")
		if at < 0 || inTime != timeBegun || (length == 0) != (unit == 'T') {
			return false, 0, 0, false
		}
		switch unit {
		case 'W':
			days += 7 * n
		case 'D':
			days += n
		case 'H':
			seconds += 3600 * n
		case 'M':
			seconds += 60 * n
		case 'S':
			seconds += n
		}
		s, units = s[length+1:], units[at+1:]
	}
	return negative, days, seconds, true
}

// number reads the digits that s begins with; more than nine are never used.
func number(s []byte) (n uint64, length int) {
	for length < len(s) && s[length] >= '0' && s[length] <= '9' {
		n = n*10 + uint64(s[length]-'0')
		length++
	}
	return n, length
}
