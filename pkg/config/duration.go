package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration written as "1m", "1s 500ms", "1 day" or ISO 8601 "PT1M30S".
type Duration time.Duration

// D is the time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String prints the long units first: "1m 30s".
func (d Duration) String() string {
	rest := time.Duration(d)
	if rest == 0 {
		return "0s"
	}
	var parts []string
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}, {"us", time.Microsecond}, {"ns", 1}} {
		if n := rest / u.unit; n > 0 {
			parts = append(parts, fmt.Sprintf("%d%s", n, u.name))
			rest %= u.unit
		}
	}
	return strings.Join(parts, " ")
}

func (d *Duration) set(v any) error {
	switch v := v.(type) {
	case string:
		p, err := ParseDuration(v)
		if err == nil {
			*d = Duration(p)
		}
		return err
	case int64:
		if v == 0 {
			*d = 0
			return nil
		}
		return fmt.Errorf("%d has no unit: write \"%ds\" or \"%dms\"", v, v, v)
	default:
		return fmt.Errorf("%v is no duration: write \"1m\" or \"500ms\"", v)
	}
}

func (d Duration) get() any { return d.String() }

const day = 24 * time.Hour

// ParseDuration reads "1s 500ms", "90m", "1 day" and ISO 8601 durations of weeks, days and smaller.
// Negative durations do not exist here.
func ParseDuration(s string) (time.Duration, error) {
	text := strings.TrimSpace(s)
	var d time.Duration
	var ok bool
	switch {
	case text == "0":
		return 0, nil
	case strings.HasPrefix(text, "P") || strings.HasPrefix(text, "p"):
		d, ok = parseISO(strings.ToUpper(text[1:]))
	default:
		d, ok = parseUnits(text, units)
	}
	if !ok {
		return 0, fmt.Errorf("%q is no duration: write \"1m\", \"1s 500ms\" or \"PT1M\"", s)
	}
	return d, nil
}

// units has all names of units.
var units = map[string]time.Duration{
	"ns": time.Nanosecond, "nsec": time.Nanosecond, "nanosecond": time.Nanosecond, "nanoseconds": time.Nanosecond,
	"us": time.Microsecond, "µs": time.Microsecond, "μs": time.Microsecond, "usec": time.Microsecond, "microsecond": time.Microsecond, "microseconds": time.Microsecond,
	"ms": time.Millisecond, "msec": time.Millisecond, "millisecond": time.Millisecond, "milliseconds": time.Millisecond,
	"s": time.Second, "sec": time.Second, "secs": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hrs": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": day, "day": day, "days": day,
	"w": 7 * day, "week": 7 * day, "weeks": 7 * day,
}

// parseISO reads what follows the P.
func parseISO(s string) (time.Duration, bool) {
	date, clock, hasClock := strings.Cut(s, "T")
	if s == "" || hasClock && clock == "" {
		return 0, false
	}
	days, ok := parseUnits(date, map[string]time.Duration{"W": 7 * day, "D": day})
	if !ok && date != "" {
		return 0, false
	}
	rest, ok := parseUnits(clock, map[string]time.Duration{"H": time.Hour, "M": time.Minute, "S": time.Second})
	if !ok && hasClock || days > math.MaxInt64-rest {
		return 0, false
	}
	return days + rest, true
}

// parseUnits adds up pairs of a number and a unit. It is false if there is none.
func parseUnits(s string, units map[string]time.Duration) (time.Duration, bool) {
	var sum time.Duration
	seen := false
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		n := len(s) - len(strings.TrimLeft(s, "0123456789."))
		rest := strings.TrimLeft(s[n:], " ")
		m := strings.IndexFunc(rest, func(r rune) bool { return r == ' ' || r == ',' || r >= '0' && r <= '9' || r == '.' })
		if m < 0 {
			m = len(rest)
		}
		u := units[rest[:m]]
		d, ok := times(s[:n], u)
		if u == 0 || !ok || sum > math.MaxInt64-d {
			return 0, false
		}
		sum += d
		seen = true
		s = strings.TrimPrefix(rest[m:], ",")
	}
	return sum, seen
}

// times multiplies a decimal number with a unit, exactly for whole numbers.
func times(number string, unit time.Duration) (time.Duration, bool) {
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if unit != 0 && n > math.MaxInt64/int64(unit) {
			return 0, false
		}
		return time.Duration(n) * unit, true
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f*float64(unit) >= math.MaxInt64 {
		return 0, false
	}
	return time.Duration(math.Round(f * float64(unit))), true
}

// DurationRange is written "250ms..1m", or as one duration for both ends.
type DurationRange struct{ Min, Max time.Duration }

// String prints the range.
func (r DurationRange) String() string {
	return Duration(r.Min).String() + ".." + Duration(r.Max).String()
}

func (r *DurationRange) set(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("%v is no range of durations: write \"250ms..1m\"", v)
	}
	lo, hi, two := strings.Cut(s, "..")
	if !two {
		hi = lo
	}
	a, err := ParseDuration(lo)
	if err != nil {
		return err
	}
	b, err := ParseDuration(hi)
	if err != nil {
		return err
	}
	if a > b {
		return fmt.Errorf("%q is no range: its start is above its end", s)
	}
	*r = DurationRange{Min: a, Max: b}
	return nil
}

func (r DurationRange) get() any { return r.String() }
