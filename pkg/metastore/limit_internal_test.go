package metastore

import (
	"testing"
	"time"
)

func TestLimit(t *testing.T) {
	l := limit{least: time.Second, most: 3 * time.Second}
	for i, step := range []struct {
		do   func()
		want time.Duration
	}{
		{func() {}, time.Second}, {l.grow, 2 * time.Second}, {l.grow, 3 * time.Second}, {l.grow, 3 * time.Second},
		{l.ease, time.Second}, {l.grow, 2 * time.Second},
	} {
		step.do()
		if got := l.current(); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
}
