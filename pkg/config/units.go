package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size written as "2.0 GiB", "64MB" or a plain number.
type Bytes int64

// Int is the size as int.
func (b Bytes) Int() int { return int(b) }

// String prints one decimal: "2.0 GiB".
func (b Bytes) String() string {
	n, unit := float64(b), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if n < 1024 {
			break
		}
		n, unit = n/1024, u
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", int64(b))
	}
	return fmt.Sprintf("%.1f %s", n, unit)
}

func (b *Bytes) set(v any) error {
	switch v := v.(type) {
	case int64:
		if v < 0 {
			return fmt.Errorf("%d is no size", v)
		}
		*b = Bytes(v)
		return nil
	case string:
		n, err := ParseBytes(v)
		if err == nil {
			*b = Bytes(n)
		}
		return err
	default:
		return fmt.Errorf("%v is no size: write \"32 MiB\" or a number of bytes", v)
	}
}

func (b Bytes) get() any { return b.String() }

// ParseBytes reads "2.0 GiB" (1024) and "2 GB" (1000).
func ParseBytes(s string) (int64, error) {
	text := strings.TrimSpace(s)
	n := len(text) - len(strings.TrimLeft(text, "0123456789._"))
	f, err := strconv.ParseFloat(strings.ReplaceAll(text[:n], "_", ""), 64)
	mult := map[string]float64{
		"": 1, "b": 1, "byte": 1, "bytes": 1,
		"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40,
	}[strings.ToLower(strings.TrimSpace(text[n:]))]
	if err != nil || mult == 0 || f*mult >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is no size: write \"32 MiB\" or a number of bytes", s)
	}
	return int64(math.Round(f * mult)), nil
}

// Limit is a number that may be "unlimited", which is 0 here.
type Limit uint32

func (l *Limit) set(v any) error {
	if s, ok := v.(string); ok {
		if s == "unlimited" || s == "inf" {
			*l = 0
			return nil
		}
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is no limit: write a number or \"unlimited\"", s)
		}
		v = n
	}
	n, ok := v.(int64)
	if !ok || n <= 0 || n > math.MaxUint32 {
		return fmt.Errorf("%v is no limit: write a positive number or \"unlimited\"", v)
	}
	*l = Limit(n)
	return nil
}

func (l Limit) get() any {
	if l == 0 {
		return "unlimited"
	}
	return int64(l)
}

// Replication is how many copies there are: "2", "{node: 2}" or "{zone: 2, node: 3}". It is kept in the
// last form, from the largest scope to the smallest.
type Replication string

var replicationScopes = [...]string{"region", "zone", "node"}

func (r *Replication) set(v any) error {
	factors := map[string]int64{}
	switch v := v.(type) {
	case int64:
		factors["node"] = v
	case map[string]any:
		for scope, f := range v {
			n, ok := f.(int64)
			if !ok {
				return fmt.Errorf("replication of %s is %v, not a number", scope, f)
			}
			factors[scope] = n
		}
	case string:
		if err := parseFactors(v, factors); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%v is no replication: write 2 or \"{zone: 2, node: 3}\"", v)
	}
	var parts []string
	last := int64(1)
	for _, scope := range replicationScopes {
		n, ok := factors[scope]
		delete(factors, scope)
		if !ok {
			continue
		}
		if n < last || n > 128 {
			return fmt.Errorf("replication of %s is %d: it must be from %d (that of the larger scope) to 128", scope, n, last)
		}
		last = n
		parts = append(parts, fmt.Sprintf("%s: %d", scope, n))
	}
	for scope := range factors {
		return fmt.Errorf("replication has no scope %q: use region, zone or node", scope)
	}
	if len(parts) == 0 {
		return fmt.Errorf("replication is empty: write 2 or \"{zone: 2, node: 3}\"")
	}
	*r = Replication("{" + strings.Join(parts, ", ") + "}")
	return nil
}

func parseFactors(s string, into map[string]int64) error {
	text := strings.TrimSpace(s)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		into["node"] = n
		return nil
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
	for part := range strings.SplitSeq(text, ",") {
		scope, number, ok := strings.Cut(strings.ReplaceAll(part, "=", ":"), ":")
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		scope = strings.Trim(strings.TrimSpace(scope), `"`)
		if !ok || err != nil {
			return fmt.Errorf("%q is no replication: write 2 or \"{zone: 2, node: 3}\"", s)
		}
		if _, twice := into[scope]; twice {
			return fmt.Errorf("replication %q names %s twice", s, scope)
		}
		into[scope] = n
	}
	return nil
}

func (r Replication) get() any { return string(r) }
