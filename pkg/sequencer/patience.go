package sequencer

import "time"

// patienceEases is how long nothing is given up until less time is given again.
const patienceEases = 30 * time.Second

// patience is how long records may wait without any commit in their loglet.
type patience struct {
	least, most time.Duration
	now         time.Duration
	since       time.Time // of the last change
}

func newPatience(cfg Config) patience {
	return patience{least: cfg.CommitTimeout, most: cfg.CommitTimeoutMax, now: cfg.CommitTimeout}
}

// at is the limit at that time.
func (p *patience) at(t time.Time) time.Duration {
	for p.now > p.least && t.Sub(p.since) > patienceEases {
		p.now, p.since = max(p.now/2, p.least), p.since.Add(patienceEases)
	}
	return p.now
}

// grow says that loglets were given up.
func (p *patience) grow(t time.Time) { p.now, p.since = min(2*p.now, p.most), t }
