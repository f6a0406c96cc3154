package soak

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// level is what a process has in a quiet time after the caches were filled, and in one at the end.
type level struct {
	process       string
	before, after figures
	peakRSS       float64
}

// figures are of the second half of a quiet time. RSS and goroutines are medians. The heap is the smallest one that was seen:
// what is above it was not collected yet.
type figures struct{ rss, heap, goroutines float64 }

// How far above its level a figure may be. RSS is what the Go runtime has not returned yet, too, and how far memtables happen to be
// filled; goroutines come with connections.
const (
	ratioMax      = 1.25
	rssMore       = 32 * mib
	heapMore      = 8 * mib
	goroutineMore = 10
)

// levels compares two phases.
func (r *recorder) levels(before, after string) (all []level) {
	for _, name := range r.processes() {
		l := level{process: name, before: r.figures(name, before), after: r.figures(name, after)}
		for _, s := range r.samples {
			if s.process == name {
				l.peakRSS = max(l.peakRSS, s.rss)
			}
		}
		all = append(all, l)
	}
	return all
}

func (r *recorder) processes() (names []string) {
	for _, s := range r.samples {
		if !slices.Contains(names, s.process) {
			names = append(names, s.process)
		}
	}
	return names
}

func (r *recorder) figures(process, phase string) figures {
	var of []sample
	for _, s := range r.samples {
		if s.process == process && s.phase == phase {
			of = append(of, s)
		}
	}
	if of = of[len(of)/2:]; len(of) == 0 {
		return figures{}
	}
	pick := func(value func(sample) float64) []float64 {
		var all []float64
		for _, s := range of {
			all = append(all, value(s))
		}
		slices.Sort(all)
		return all
	}
	return figures{
		rss:        pick(func(s sample) float64 { return s.rss })[len(of)/2],
		heap:       pick(func(s sample) float64 { return s.heap })[0],
		goroutines: pick(func(s sample) float64 { return s.goroutines })[len(of)/2],
	}
}

// returned returns an error if what a process has is above its level.
func (l level) returned() error {
	if l.before == (figures{}) || l.after == (figures{}) {
		if l.process == queryProcess { // it ends where nobody asks
			return nil
		}
		return fmt.Errorf("%s has no figures in one of the quiet times", l.process)
	}
	var failed []error
	for _, row := range []struct {
		what                string
		before, after, more float64
	}{
		{"RSS", l.before.rss, l.after.rss, rssMore},
		{"heap", l.before.heap, l.after.heap, heapMore},
	} {
		if most := row.before*ratioMax + row.more; row.after > most {
			failed = append(failed, fmt.Errorf("%s: %s of %.1f MiB, after %.1f MiB at first: at most %.1f", l.process, row.what, row.after/mib, row.before/mib, most/mib))
		}
	}
	if l.after.goroutines > l.before.goroutines+goroutineMore {
		failed = append(failed, fmt.Errorf("%s: %.0f goroutines, after %.0f at first", l.process, l.after.goroutines, l.before.goroutines))
	}
	return errors.Join(failed...)
}

// table shows levels in Markdown.
func table(all []level) string {
	var b strings.Builder
	b.WriteString("| process | RSS quiet 1, MiB | RSS quiet 2 | highest RSS | heap quiet 1, MiB | heap quiet 2 | goroutines quiet 1 | quiet 2 |\n|---|---|---|---|---|---|---|---|\n")
	for _, l := range all {
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.0f |", l.process, l.before.rss/mib, l.after.rss/mib, l.peakRSS/mib)
		if l.process == queryProcess {
			b.WriteString(" | | | |\n")
			continue
		}
		fmt.Fprintf(&b, " %.1f | %.1f | %.0f | %.0f |\n", l.before.heap/mib, l.after.heap/mib, l.before.goroutines, l.after.goroutines)
	}
	return b.String()
}

func TestReturned(t *testing.T) {
	was := figures{rss: 100 * mib, heap: 20 * mib, goroutines: 200}
	for _, row := range []struct {
		name  string
		after figures
		fails string
	}{
		{"same", was, ""},
		{"within", figures{rss: 157 * mib, heap: 33 * mib, goroutines: 210}, ""},
		{"rss", figures{rss: 158 * mib, heap: 20 * mib, goroutines: 200}, "RSS"},
		{"heap", figures{rss: 100 * mib, heap: 34 * mib, goroutines: 200}, "heap"},
		{"goroutines", figures{rss: 100 * mib, heap: 20 * mib, goroutines: 211}, "goroutines"},
		{"gone", figures{}, "no figures"},
	} {
		err := level{process: row.name, before: was, after: row.after}.returned()
		if (err == nil) != (row.fails == "") || err != nil && !strings.Contains(err.Error(), row.fails) {
			t.Errorf("%s: %v, want one of %q", row.name, err, row.fails)
		}
	}
}
