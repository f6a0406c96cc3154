package config

import (
	"log/slog"
	"testing"
)

// The level of a package is that of the longest target that matches, then that of all of ours, then the one without a target.
func TestFilterDirectives(t *testing.T) {
	const trace, off = slog.LevelDebug - 4, LevelOff
	for _, row := range []struct {
		filter          Filter
		other           slog.Level
		processor, duck slog.Level // of pkg/processor, of pkg/query/duck
	}{
		{"", slog.LevelInfo, slog.LevelInfo, slog.LevelInfo},
		{"warn,restate=info", slog.LevelWarn, slog.LevelInfo, slog.LevelInfo},
		{"debug", slog.LevelDebug, slog.LevelDebug, slog.LevelDebug},
		{"info,processor=debug", slog.LevelInfo, slog.LevelDebug, slog.LevelInfo},
		{"info,pkg/processor=debug", slog.LevelInfo, slog.LevelDebug, slog.LevelInfo},
		{"info,reprise::processor=debug", slog.LevelInfo, slog.LevelDebug, slog.LevelInfo},
		{"info,reprise/pkg/query=trace", slog.LevelInfo, slog.LevelInfo, trace},
		{"warn,query=error,query/duck=debug,reprise=info", slog.LevelWarn, slog.LevelInfo, slog.LevelDebug},
		{"info,proc=debug", slog.LevelInfo, slog.LevelInfo, slog.LevelInfo}, // not a whole name
		{"info,restate_worker=debug", slog.LevelInfo, slog.LevelInfo, slog.LevelInfo},
		{"info,restate=error,restate=debug", slog.LevelInfo, slog.LevelDebug, slog.LevelDebug},
		{" WARN , restate = Info ", slog.LevelWarn, slog.LevelInfo, slog.LevelInfo},
		{"info,[span{x=1}]=debug", slog.LevelInfo, slog.LevelInfo, slog.LevelInfo},
		{"off,processor=error", off, slog.LevelError, off},
	} {
		l, err := row.filter.Levels()
		if err != nil || l.Other != row.other || l.Of("pkg/processor") != row.processor || l.Of("pkg/query/duck") != row.duck {
			t.Errorf("%q: %v %v %v, %v", row.filter, l.Other, l.Of("pkg/processor"), l.Of("pkg/query/duck"), err)
		}
	}
	for _, bad := range []Filter{"loud", "info,processor=loud", "=", "processor"} {
		if _, err := bad.Levels(); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
