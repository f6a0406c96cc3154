package config

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// Filter says which log lines are written: levels with commas, for everything or for a target, such as
// "warn,restate=info,processor=debug". A target is restate or reprise, which is all of ours, or one of our packages with those
// below it, as processor, pkg/processor or reprise::processor. Of several that match the longest counts, of equal ones the last.
type Filter string

// LevelOff is above every level.
const LevelOff = slog.Level(100)

// Levels is what a Filter says.
type Levels struct {
	Other slog.Level // of lines that are not ours
	own   []directive
}

// directive is the level of a package and of those below it; "" is all of ours.
type directive struct {
	target string
	level  slog.Level
}

// Of is the level from which on lines of one of our packages are written. The package is a path such as pkg/processor.
func (l Levels) Of(pkg string) slog.Level {
	pkg = strings.TrimPrefix(pkg, "pkg/")
	for _, d := range l.own {
		if d.target == "" || pkg == d.target || strings.HasPrefix(pkg, d.target+"/") {
			return d.level
		}
	}
	return l.Other
}

// Range is the lowest and the highest of the levels.
func (l Levels) Range() (lowest, highest slog.Level) {
	lowest, highest = l.Other, l.Other
	for _, d := range l.own {
		lowest, highest = min(lowest, d.level), max(highest, d.level)
	}
	return lowest, highest
}

// Levels reads the filter.
func (f Filter) Levels() (Levels, error) {
	l := Levels{Other: slog.LevelInfo}
	for text := range strings.SplitSeq(string(f), ",") {
		text = strings.TrimSpace(text)
		if text == "" || strings.Contains(text, "[") { // spans are not filtered
			continue
		}
		target, name, targeted := strings.Cut(text, "=")
		if !targeted {
			name = target
		}
		level, ok := levelOf(name)
		if !ok {
			return Levels{}, fmt.Errorf("%q is no level: use off, error, warn, info, debug or trace", strings.TrimSpace(name))
		}
		if !targeted {
			l.Other = level
			continue
		}
		if ours, ok := targetOf(target); ok {
			l.own = slices.DeleteFunc(l.own, func(d directive) bool { return d.target == ours })
			l.own = append(l.own, directive{ours, level})
		}
	}
	slices.SortStableFunc(l.own, func(a, b directive) int { return len(b.target) - len(a.target) })
	return l, nil
}

// levelOf reads the name of a level.
func levelOf(name string) (slog.Level, bool) {
	level, ok := map[string]slog.Level{
		"off": LevelOff, "error": slog.LevelError, "warn": slog.LevelWarn, "warning": slog.LevelWarn, "info": slog.LevelInfo,
		"debug": slog.LevelDebug, "trace": slog.LevelDebug - 4,
	}[strings.ToLower(strings.TrimSpace(name))]
	return level, ok
}

// targetOf is the package that a target names; false: one that can not be ours.
func targetOf(text string) (string, bool) {
	text = strings.TrimSpace(text)
	path := strings.ReplaceAll(text, "::", "/")
	for _, all := range []string{"restate", "reprise"} {
		if path == all {
			return "", true
		}
		path = strings.TrimPrefix(path, all+"/")
	}
	path = strings.TrimPrefix(path, "pkg/")
	if strings.Contains(path, "_") { // of the reference, such as restate_worker, or of a library
		return "", false
	}
	return path, path != ""
}

func (f *Filter) set(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("%v is no filter: write \"warn,restate=info\"", v)
	}
	if _, err := Filter(text).Levels(); err != nil {
		return fmt.Errorf("filter %q: %w", text, err)
	}
	*f = Filter(text)
	return nil
}

func (f Filter) get() any { return string(f) }
