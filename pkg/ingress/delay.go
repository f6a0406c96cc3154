package ingress

import (
	"errors"
	"strings"
)

// delayMaxMillis bounds a delay, about 19,000 years: what comes out must still be a time.
const delayMaxMillis = 600_000_000_000_000

const (
	secondsPerDay  = 24 * 60 * 60
	secondsPerWeek = 7 * secondsPerDay
	nanosPerSecond = 1_000_000_000
	nanosPerMilli  = 1_000_000
)

var (
	errDelayEmpty    = errors.New("it is empty")
	errDelayNegative = errors.New("it is negative")
	errDelayCalendar = errors.New("please use units of days or smaller")
	errDelayUnit     = errors.New("a number has no unit, or one that is not known (e.g. 10s, 1m30s, PT60S)")
	errDelayNumber   = errors.New("a number was expected (e.g. 10s, 1m30s, PT60S)")
	errDelayOrder    = errors.New("each unit may stand once, the larger before the smaller")
	errDelayFraction = errors.New("only the last number may have a fraction, in hours or smaller")
	errDelayClock    = errors.New("hours, minutes and seconds were expected (e.g. 01:30:00)")
	errDelayLong     = errors.New("it is too long")
)

// unit is a unit of time: seconds, or nanoseconds below a second. Calendar units have neither.
type unit struct {
	rank    int // larger units come first
	seconds int64
	nanos   int64
}

var (
	unitYear   = unit{rank: 1}
	unitMonth  = unit{rank: 2}
	unitWeek   = unit{rank: 3, seconds: secondsPerWeek}
	unitDay    = unit{rank: 4, seconds: secondsPerDay}
	unitHour   = unit{rank: 5, seconds: 3600}
	unitMinute = unit{rank: 6, seconds: 60}
	unitSecond = unit{rank: 7, seconds: 1}
	unitMilli  = unit{rank: 8, nanos: 1_000_000}
	unitMicro  = unit{rank: 9, nanos: 1000}
	unitNano   = unit{rank: 10, nanos: 1}
)

// friendlyUnits are the designators of the informal notation.
var friendlyUnits = map[string]unit{
	"years": unitYear, "year": unitYear, "yrs": unitYear, "yr": unitYear, "y": unitYear,
	"months": unitMonth, "month": unitMonth, "mos": unitMonth, "mo": unitMonth,
	"weeks": unitWeek, "week": unitWeek, "wks": unitWeek, "wk": unitWeek, "w": unitWeek,
	"days": unitDay, "day": unitDay, "d": unitDay,
	"hours": unitHour, "hour": unitHour, "hrs": unitHour, "hr": unitHour, "h": unitHour,
	"minutes": unitMinute, "minute": unitMinute, "mins": unitMinute, "min": unitMinute, "m": unitMinute,
	"seconds": unitSecond, "second": unitSecond, "secs": unitSecond, "sec": unitSecond, "s": unitSecond,
	"milliseconds": unitMilli, "millisecond": unitMilli, "millis": unitMilli, "milli": unitMilli,
	"msecs": unitMilli, "msec": unitMilli, "ms": unitMilli,
	"microseconds": unitMicro, "microsecond": unitMicro, "micros": unitMicro, "micro": unitMicro,
	"usecs": unitMicro, "usec": unitMicro, "us": unitMicro, "\u00b5s": unitMicro, "\u03bcs": unitMicro,
	"nanoseconds": unitNano, "nanosecond": unitNano, "nanos": unitNano, "nano": unitNano,
	"nsecs": unitNano, "nsec": unitNano, "ns": unitNano,
}

// parseDelay reads an ISO 8601 duration or the informal notation (10s, 1m 30s, 2weeks) and returns
// milliseconds, rounded down.
func parseDelay(s string) (millis int64, err error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, errDelayEmpty
	}
	negative := false
	if s[0] == '-' || s[0] == '+' {
		negative = s[0] == '-'
		s = s[1:]
	}
	var sum total
	if s != "" && (s[0] == 'P' || s[0] == 'p') {
		err = sum.iso(s[1:])
	} else {
		if rest, ago := strings.CutSuffix(s, " ago"); ago {
			s, negative = rest, !negative
		}
		err = sum.friendly(s)
	}
	if err != nil {
		return 0, err
	}
	if negative && (sum.seconds != 0 || sum.nanos != 0) {
		return 0, errDelayNegative
	}
	millis = sum.seconds*1000 + sum.nanos/nanosPerMilli
	if millis > delayMaxMillis {
		return 0, errDelayLong
	}
	return millis, nil
}

// total adds up the parts of a delay.
type total struct {
	seconds, nanos int64
	rank           int  // of the last unit
	fraction       bool // it had a fraction: nothing may follow
}

// iso reads what follows the P.
func (d *total) iso(s string) error {
	inTime, any := false, false
	for s != "" {
		if !inTime && (s[0] == 'T' || s[0] == 't') {
			inTime, any, s = true, false, s[1:]
			continue
		}
		n, rest, err := cutNumber(s)
		if err != nil {
			return err
		}
		if rest == "" {
			return errDelayUnit
		}
		u, ok := isoUnit(rest[0], inTime)
		if !ok {
			return errDelayUnit
		}
		if err := d.add(n, u); err != nil {
			return err
		}
		any, s = true, rest[1:]
	}
	if !any {
		return errDelayNumber
	}
	return nil
}

func isoUnit(c byte, inTime bool) (unit, bool) {
	switch {
	case !inTime && (c == 'Y' || c == 'y'):
		return unitYear, true
	case !inTime && (c == 'M' || c == 'm'):
		return unitMonth, true
	case !inTime && (c == 'W' || c == 'w'):
		return unitWeek, true
	case !inTime && (c == 'D' || c == 'd'):
		return unitDay, true
	case inTime && (c == 'H' || c == 'h'):
		return unitHour, true
	case inTime && (c == 'M' || c == 'm'):
		return unitMinute, true
	case inTime && (c == 'S' || c == 's'):
		return unitSecond, true
	}
	return unit{}, false
}

func (d *total) friendly(s string) error {
	if s == "0" {
		return nil
	}
	for {
		n, rest, err := cutNumber(s)
		if err != nil {
			return err
		}
		if rest != "" && rest[0] == ':' {
			return d.clock(n, rest[1:])
		}
		rest = strings.TrimLeft(rest, " \t")
		end := strings.IndexAny(rest, " \t,0123456789")
		if end < 0 {
			end = len(rest)
		}
		u, ok := friendlyUnits[rest[:end]]
		if !ok {
			return errDelayUnit
		}
		if err := d.add(n, u); err != nil {
			return err
		}
		if s = rest[end:]; s == "" || strings.Trim(s, " \t") == "" {
			return nil
		}
		if s[0] == ',' {
			if s = s[1:]; s == "" || (s[0] != ' ' && s[0] != '\t') {
				return errDelayNumber
			}
		}
		s = strings.TrimLeft(s, " \t")
	}
}

// clock reads what follows the hours of hours:minutes:seconds, which ends a duration.
func (d *total) clock(hours number, s string) error {
	minutes, s, err := cutNumber(s)
	if err != nil || s == "" || s[0] != ':' {
		return errDelayClock
	}
	seconds, s, err := cutNumber(s[1:])
	if err != nil || s != "" || hours.fractional || minutes.fractional {
		return errDelayClock
	}
	return errors.Join(d.add(hours, unitHour), d.add(minutes, unitMinute), d.add(seconds, unitSecond))
}

// number is a decimal number: a whole part and up to nine digits of a fraction.
type number struct {
	whole      int64
	fraction   int64 // in billionths
	fractional bool
}

// numberMax keeps products with any unit below the largest integer.
const numberMax = 1_000_000_000_000

func cutNumber(s string) (n number, rest string, err error) {
	i := 0
	for ; i < len(s) && isDigit(s[i]); i++ {
		n.whole = n.whole*10 + int64(s[i]-'0')
		if n.whole > numberMax {
			return n, "", errDelayLong
		}
	}
	if i == 0 {
		return n, "", errDelayNumber
	}
	if i+1 >= len(s) || (s[i] != '.' && s[i] != ',') || !isDigit(s[i+1]) {
		return n, s[i:], nil
	}
	n.fractional = true
	i++
	scale := int64(nanosPerSecond)
	for ; i < len(s) && isDigit(s[i]); i++ {
		scale /= 10
		n.fraction += int64(s[i]-'0') * scale // digits beyond the ninth count for nothing
	}
	return n, s[i:], nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (d *total) add(n number, u unit) error {
	switch {
	case u.seconds == 0 && u.nanos == 0:
		return errDelayCalendar
	case u.rank <= d.rank:
		return errDelayOrder
	case d.fraction, n.fractional && u.rank < unitHour.rank:
		return errDelayFraction
	}
	d.rank, d.fraction = u.rank, n.fractional
	if u.seconds != 0 {
		// The fraction is below one unit, at most an hour: its product fits.
		part := n.fraction * u.seconds
		d.seconds += n.whole*u.seconds + part/nanosPerSecond
		d.nanos += part % nanosPerSecond
	} else {
		d.seconds += n.whole / (nanosPerSecond / u.nanos)
		d.nanos += n.whole%(nanosPerSecond/u.nanos)*u.nanos + n.fraction*u.nanos/nanosPerSecond
	}
	d.seconds += d.nanos / nanosPerSecond
	d.nanos %= nanosPerSecond
	if d.seconds > delayMaxMillis/1000 {
		return errDelayLong
	}
	return nil
}
