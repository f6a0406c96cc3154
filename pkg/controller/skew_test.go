package controller_test

import (
	"slices"
	"testing"
	"time"

	"reprise/pkg/controller"
	"reprise/pkg/id"
	"reprise/pkg/placement"
)

// A clock is off if it differs from the median by more than half a second, however late some beats come.
func TestClockOff(t *testing.T) {
	r := newRoster(t)
	visits := map[id.Node]*controller.Visit{}
	enter := func(ids ...id.Node) {
		for _, n := range ids {
			visits[n] = r.Enter(gen(n, 1), noCalls)
		}
	}
	beats := func(ahead map[id.Node]time.Duration, n int) {
		for i := range n {
			r.clock.Advance(200 * time.Millisecond)
			for node, v := range visits {
				late := time.Duration(i%3) * 700 * time.Millisecond // as on a network that is slow now and then
				v.Beat(controller.Beat{SentAtMillis: r.clock.Now().Add(ahead[node] - late).UnixMilli()})
			}
		}
	}
	want := func(when string, off ...id.Node) {
		t.Helper()
		var got []id.Node
		for _, a := range r.Alive() {
			if a.ClockOff {
				got = append(got, a.ID.Node)
			}
		}
		if !slices.Equal(got, off) {
			t.Errorf("%s: %v are off, want %v", when, got, off)
		}
	}
	enter(1, 2)
	beats(map[id.Node]time.Duration{2: time.Hour}, 16)
	want("with two clocks nobody knows")
	enter(3)
	beats(map[id.Node]time.Duration{2: time.Hour}, 15)
	want("before enough was heard")
	beats(map[id.Node]time.Duration{2: time.Hour}, 1)
	want("with three", 2)
	beats(map[id.Node]time.Duration{2: 490 * time.Millisecond, 3: -490 * time.Millisecond}, 16)
	want("when they differ a little")
	beats(map[id.Node]time.Duration{1: -time.Second, 3: -600 * time.Millisecond}, 16)
	want("behind", 2) // the median is that of N3
	enter(4)
	beats(map[id.Node]time.Duration{1: time.Second, 2: time.Second}, 16)
	want("two against two")
	visits[1].Beat(controller.Beat{Statuses: []placement.Status{{}}}) // one that does not say
	beats(map[id.Node]time.Duration{1: time.Second}, 16)
	want("three against one", 1)
}
