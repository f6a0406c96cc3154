package controller

import (
	"slices"
	"time"

	"reprise/pkg/placement"
)

const (
	// skewMax is how much the clock of a process may differ from the median of all.
	skewMax = 500 * time.Millisecond
	// skewBeats is how many beats are looked at: of so many, some came without a delay.
	skewBeats = 16
	// skewVoters is how many clocks a median needs.
	skewVoters = 3
)

// skew is how much the clock of a process is ahead of ours. A beat that comes late makes it look less: the most of some
// beats counts.
type skew struct {
	beats       int // of now
	now, before time.Duration
	known       bool // before is
}

func (s *skew) beat(sentAtMillis int64, heard time.Time) {
	if sentAtMillis == 0 {
		return
	}
	ahead := time.UnixMilli(sentAtMillis).Sub(heard.Round(0))
	if s.beats == 0 || ahead > s.now {
		s.now = ahead
	}
	if s.beats++; s.beats == skewBeats {
		s.before, s.known, s.beats = s.now, true, 0
	}
}

// judgeClocksLocked says whose clock differs from that of the others.
func (r *Roster) judgeClocksLocked(alive []placement.Attendant) {
	var all []time.Duration
	for i := range alive {
		if s := &r.visits[alive[i].ID.Node].skew; s.known {
			all = append(all, s.before)
		}
	}
	if len(all) < skewVoters {
		return
	}
	slices.Sort(all)
	low, high := all[(len(all)-1)/2], all[len(all)/2] // one and the same, unless there are two in the middle
	for i := range alive {
		s := &r.visits[alive[i].ID.Node].skew
		alive[i].ClockOff = s.known && (s.before < low-skewMax || s.before > high+skewMax)
	}
}
