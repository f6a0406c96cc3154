package ingress

import (
	"errors"
	"testing"
)

func TestDelay(t *testing.T) {
	for _, row := range []struct {
		in     string
		millis int64
		err    error
	}{
		{"PT60S", 60_000, nil},
		{"PT1.5S", 1500, nil},
		{"PT1,5S", 1500, nil},
		{"pt1h", 3_600_000, nil},
		{"P1D", 86_400_000, nil},
		{"P1DT2H", 93_600_000, nil},
		{"P1W", 604_800_000, nil},
		{"P1W2D", 777_600_000, nil},
		{"PT0.5H", 1_800_000, nil},
		{"+PT1S", 1000, nil},
		{"-PT0S", 0, nil},
		{"10s", 10_000, nil},
		{"1500ms", 1500, nil},
		{"1m30s", 90_000, nil},
		{"1h, 30m", 5_400_000, nil},
		{"1s,\t1ms", 1001, nil},
		{"01:02:03", 3_723_000, nil},
		{"1d, 100:61:00.5", 450_060_500, nil},
		{"1d01:00:00", 90_000_000, nil},
		{"60 sec", 60_000, nil},
		{" 1.5s ", 1500, nil},
		{"1d", 86_400_000, nil},
		{"2weeks", 1_209_600_000, nil},
		{"1us", 0, nil},
		{"10ns", 0, nil},
		{"999999ns", 0, nil},
		{"1000000ns", 1, nil},
		{"1µs", 0, nil},
		{"0.7s", 700, nil},
		{"1.0009s", 1000, nil},
		{"1.99999999999999s", 1999, nil},
		{"0", 0, nil},
		{"0s ago", 0, nil},

		{"", 0, errDelayEmpty},
		{"  ", 0, errDelayEmpty},
		{"1000", 0, errDelayUnit},
		{"1x", 0, errDelayUnit},
		{"1.5", 0, errDelayUnit},
		{"P1Y", 0, errDelayCalendar},
		{"P1M", 0, errDelayCalendar},
		{"1month", 0, errDelayCalendar},
		{"2 years", 0, errDelayCalendar},
		{"-1s", 0, errDelayNegative},
		{"1s ago", 0, errDelayNegative},
		{"-PT1S", 0, errDelayNegative},
		{"soon", 0, errDelayNumber},
		{"P", 0, errDelayNumber},
		{"PT", 0, errDelayNumber},
		{"P1DT", 0, errDelayNumber},
		{"PTS", 0, errDelayNumber},
		{"PT1", 0, errDelayUnit},
		{"PT1D", 0, errDelayUnit},
		{"1s,", 0, errDelayNumber},
		{"1s,1ms", 0, errDelayNumber},
		{"1s ,1ms", 0, errDelayNumber},
		{"1 :00:00", 0, errDelayUnit},
		{"01:00", 0, errDelayClock},
		{"01:00:", 0, errDelayClock},
		{"01:00:00 1s", 0, errDelayClock},
		{"1.5:00:00", 0, errDelayClock},
		{"1h 01:00:00", 0, errDelayOrder},
		{"01:00:00 ago", 0, errDelayNegative},
		{"1s 1s", 0, errDelayOrder},
		{"1s1m", 0, errDelayOrder},
		{"PT1S1M", 0, errDelayOrder},
		{"1.5d", 0, errDelayFraction},
		{"1.5h3s", 0, errDelayFraction},
		{"99999999999999999999s", 0, errDelayLong},
		{"1000000000000w", 0, errDelayLong},
	} {
		got, err := parseDelay(row.in)
		if got != row.millis || !errors.Is(err, row.err) {
			t.Errorf("%q: %d, %v; want %d, %v", row.in, got, err, row.millis, row.err)
		}
	}
}

func FuzzDelay(f *testing.F) {
	for _, s := range []string{"PT1.5S", "1h, 30m 5s", "-1s ago", "P1DT", "99999999999999999w", "1.5", "µs"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ms, err := parseDelay(s)
		if ms < 0 || ms > delayMaxMillis || (err != nil && ms != 0) {
			t.Errorf("%q: %d, %v", s, ms, err)
		}
	})
}
