package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is a number of events for each second, written as "10/s", "600/min" or "100/h".
type Rate float64

// rateUnits are what a rate can be for.
var rateUnits = map[string]time.Duration{"s": time.Second, "sec": time.Second, "m": time.Minute, "min": time.Minute, "h": time.Hour, "hr": time.Hour}

// Bucket is how many tokens come in a second, 0 if there is no limit, and how many the bucket holds.
func (t *Throttling) Bucket() (rate float64, holds uint32) {
	switch {
	case t.Rate == nil:
		return 0, 0
	case t.Capacity != nil:
		return float64(*t.Rate), *t.Capacity
	default:
		return float64(*t.Rate), max(uint32(*t.Rate), 1)
	}
}

func (r *Rate) set(v any) error {
	text, ok := v.(string)
	number, unit, cut := strings.Cut(text, "/")
	each := rateUnits[strings.ToLower(strings.TrimSpace(unit))]
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !ok || !cut || each == 0 || err != nil || !(n > 0 && n <= 1e9) {
		return fmt.Errorf("%v is no rate: write \"10/s\", \"600/min\" or \"100/h\"", v)
	}
	*r = Rate(n / each.Seconds())
	return nil
}

func (r Rate) get() any {
	for _, unit := range []string{"s", "min", "h"} {
		if n := float64(r) * rateUnits[unit].Seconds(); n >= 1 || unit == "h" {
			return strconv.FormatFloat(n, 'g', 9, 64) + "/" + unit
		}
	}
	return ""
}
