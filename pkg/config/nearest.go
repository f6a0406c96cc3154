package config

import "strings"

// nearest is the known key that looks most like an unknown one; "": none does.
func nearest(unknown string) string {
	defaults := Default()
	best, least := "", len(last(unknown))/2+1
	try := func(key string) {
		d := distance(unknown, key)
		if last(unknown) == last(key) { // in another section
			d = min(d, 1)
		}
		if d < least {
			best, least = key, d
		}
	}
	for _, s := range settings(&defaults) {
		for i, r := range s.key { // tables, too
			if r == '.' {
				try(s.key[:i])
			}
		}
		try(s.key)
	}
	for _, group := range inert {
		for _, k := range group.keys {
			if !strings.HasSuffix(k, "-") {
				try(strings.TrimSuffix(k, "."))
			}
		}
	}
	return best
}

func last(key string) string { return key[strings.LastIndex(key, ".")+1:] }

// distance is how many letters must be put in, taken out or replaced to make one of the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := row[0] // left of the one that is computed, in the row above
		row[0] = i + 1
		for j := range len(b) {
			d := above
			if a[i] != b[j] {
				d = 1 + min(above, row[j], row[j+1])
			}
			above, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
