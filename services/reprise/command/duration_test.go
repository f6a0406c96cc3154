package command

import (
	"testing"
	"time"
)

func TestHumanDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                                    "0 ms",
		999 * time.Microsecond:               "0 ms",
		time.Second:                          "1 second",
		3*time.Second + 139*time.Millisecond: "3 seconds and 139 ms",
		-3 * time.Second:                     "3 seconds",
		9*time.Minute + 55*time.Second + 34*time.Millisecond: "9 minutes, 55 seconds and 34 ms",
		49*time.Hour + time.Millisecond:                      "2 days, 1 hour and 1 ms",
	} {
		if got := humanDuration(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
