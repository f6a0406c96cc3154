package sequencer

import (
	"context"
	"time"

	"reprise/pkg/logproto"
)

// upkeepSlow is how often upkeep looks when there is only waiting to be watched.
const upkeepSlow = 20 * time.Millisecond

// upkeepLoop connects, watches for trouble and sends global tails on their own.
func (w *Writer) upkeepLoop(ctx context.Context) {
	timer := w.h.Clock.NewTimer(upkeepSlow)
	defer timer.Stop()
	for {
		next := w.upkeep()
		if next == 0 {
			timer.Stop()
		} else {
			timer.Reset(next)
		}
		select {
		case <-timer.C():
		case <-w.wake:
		case <-ctx.Done():
			return
		}
	}
}

// watchedLocked makes upkeep look every ReleaseAfter: a frame went out or came back.
func (w *Writer) watchedLocked() {
	if !w.fast {
		w.fast = true
		w.wakeUp()
	}
}

// upkeep looks once and returns when to look again; 0 means when woken.
func (w *Writer) upkeep() (next time.Duration) {
	now := w.h.Clock.Now()
	w.mu.Lock()
	var dials []*link
	var closes []logproto.Conn
	for _, s := range w.sites {
		if s.busy && now.Sub(s.since) > s.limit {
			s.limitLocked(2 * s.limit)
			closes = append(closes, s.link.conn)
			s.lostLocked()
		}
		if !s.retryAt.IsZero() && !now.Before(s.retryAt) {
			s.retryAt = time.Time{}
		}
		if s.link == nil && s.loglets > 0 && s.retryAt.IsZero() {
			dials = append(dials, &link{s: s})
		}
		if s.busy || s.link == nil && s.loglets > 0 || !s.retryAt.IsZero() {
			next = upkeepSlow
		}
	}
	if w.watchLocked(now) {
		next = upkeepSlow
	}
	releases := w.releasesLocked()
	if w.fast {
		next = w.cfg.ReleaseAfter
	}
	w.mu.Unlock()
	w.act(dials, closes, releases)
	return next
}

// watchLocked gives up loglets in which nothing commits. It tells whether any waits.
func (w *Writer) watchLocked(now time.Time) (waiting bool) {
	limit, stuck := w.patience.at(now), false
	for _, l := range w.loglets {
		switch groups, _ := l.seq.Waiting(); {
		case groups == 0:
			l.waiting = time.Time{}
		case l.refusing: // who takes over would fare no better
			l.waiting, waiting = time.Time{}, true
		case l.waiting.IsZero():
			l.waiting, waiting = now, true
		case now.Sub(l.waiting) > limit:
			stuck = true
			l.seq.End(logproto.ErrStuck)
			l.noteLocked()
		default:
			waiting = true
		}
	}
	if stuck {
		w.patience.grow(now)
	}
	return waiting
}

type release struct {
	conn   logproto.Conn
	groups []logproto.Group
}

// releasesLocked collects the global tails to send when nothing was stored since the last look.
func (w *Writer) releasesLocked() (out []release) {
	if w.stored || !w.fast {
		w.stored = false
		return nil
	}
	w.fast = false
	for _, l := range w.loglets {
		known := l.seq.Known()
		for i, s := range l.sites {
			if l.told[i] >= known || s.link == nil || s.busy {
				continue
			}
			l.told[i] = known
			g := logproto.Group{Ref: l.seq.Ref, Known: known}
			k := 0
			for k < len(out) && out[k].conn != s.link.conn {
				k++
			}
			if k == len(out) {
				out = append(out, release{conn: s.link.conn})
			}
			out[k].groups = append(out[k].groups, g)
		}
	}
	return out
}

// act does what upkeep decided, without the lock.
func (w *Writer) act(dials []*link, closes []logproto.Conn, releases []release) {
	for _, c := range closes {
		c.Close()
	}
	for _, r := range releases {
		r.conn.Release(r.groups)
	}
	for _, k := range dials {
		conn := w.dial.Dial(k.s.node, k)
		w.mu.Lock()
		k.conn = conn
		if !k.dead { // it may have broken at once
			k.s.link = k
		}
		w.mu.Unlock()
	}
	w.mu.Lock()
	w.sendAndUnlock()
	w.deliver()
}
