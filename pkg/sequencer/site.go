package sequencer

import (
	"log/slog"
	"time"

	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/logkey"
	"reprise/pkg/logproto"
)

// site is a log-server as the writer sees it. Guarded by Writer.mu.
type site struct {
	w       *Writer
	node    id.Node
	loglets int     // open ones that store there
	ready   []place // loglets with something to send, each once
	link    *link   // nil while there is no connection
	busy    bool    // a frame is under way
	since   time.Time
	frame   *logproto.Frame
	sent    []sentGroup // of the frame
	bytes   []byte      // copies of its records
	retryAt time.Time   // nothing is sent before
	pause   time.Duration
	refused bool          // the last frame was not stored
	limit   time.Duration // for a frame
	took    *host.Histogram
}

type place struct {
	l      *Loglet
	member int
}

type sentGroup struct {
	place
	number uint64
}

// link is one connection to a site. It is what the connection calls back.
type link struct {
	s    *site
	conn logproto.Conn
	dead bool // guarded by Writer.mu
}

func newSite(w *Writer, n id.Node) *site {
	return &site{w: w, node: n, frame: &logproto.Frame{}, took: w.metrics.store(n), limit: w.cfg.StoreTimeout}
}

// fillLocked fills the frame with what waits, if the site can take one now.
func (s *site) fillLocked() bool {
	if s.busy || s.link == nil || len(s.ready) == 0 || !s.retryAt.IsZero() {
		return false
	}
	f := s.frame
	clear(f.Groups)
	clear(s.sent)
	f.Groups, s.sent, s.bytes = f.Groups[:0], s.sent[:0], s.bytes[:0]
	size, used := 0, 0
	for _, p := range s.ready {
		if size > s.w.cfg.FrameBytesMax || len(f.Groups) >= s.w.cfg.FrameGroupsMax {
			break
		}
		size += s.takeLocked(p, size)
		used++
		if p.l.seq.HasFor(p.member) { // the frame is full; the others come first in the next one
			s.ready = append(s.ready, p)
			break
		}
		p.l.queued[p.member] = false
	}
	left := copy(s.ready, s.ready[used:])
	clear(s.ready[left:])
	s.ready = s.ready[:left]
	if len(f.Groups) == 0 {
		return false
	}
	s.busy, s.w.stored = true, true
	s.since = s.w.h.Clock.Now()
	s.w.watchedLocked()
	return true
}

// takeLocked puts the groups of one loglet into the frame.
func (s *site) takeLocked(p place, size int) int {
	// With other members a write quorum may commit a group, and its owner reuse the bytes, before this
	// log-server has taken them.
	shared := p.l.seq.Set().Len() > 1
	bytes := 0
	for size+bytes <= s.w.cfg.FrameBytesMax && len(s.frame.Groups) < s.w.cfg.FrameGroupsMax {
		g, number, ok := p.l.seq.Take(p.member)
		if !ok {
			break
		}
		bytes += len(g.Records)
		if shared {
			at := len(s.bytes)
			s.bytes = append(s.bytes, g.Records...)
			g.Records = s.bytes[at:len(s.bytes):len(s.bytes)]
		}
		s.frame.Groups = append(s.frame.Groups, g)
		s.sent = append(s.sent, sentGroup{place: p, number: number})
		p.l.told[p.member] = g.Known
	}
	return bytes
}

// Stored takes the answers to a frame.
func (k *link) Stored(f *logproto.Frame) {
	s, w := k.s, k.s.w
	w.mu.Lock()
	if k.dead || f != s.frame || !s.busy || len(f.Answers) != len(f.Groups) {
		w.mu.Unlock()
		return
	}
	s.busy = false
	took := w.h.Clock.Now().Sub(s.since)
	s.took.Observe(took.Seconds())
	s.limitLocked(max(2*took, s.limit/2))
	refused := false
	for i := range s.sent {
		g := &s.sent[i]
		a := f.Answers[i]
		g.l.seq.Answered(g.member, g.number, a)
		g.l.answeredLocked(g.member, a.Status == logproto.Disabled)
		if a.Status != logproto.Ok {
			g.l.wave++
		}
		refused = refused || a.Status == logproto.Disabled || a.Status == logproto.Dropped || a.Status == logproto.OutOfBounds
		if i+1 == len(s.sent) || s.sent[i+1].l != g.l {
			g.l.noteLocked()
			g.l.queueLocked()
		}
	}
	if !refused || !s.refused {
		s.pause = 0 // it is there; its pauses grow only while it refuses one frame after another
	}
	if s.refused = refused; refused {
		s.backOffLocked()
	}
	w.watchedLocked()
	w.sendAndUnlock()
	w.deliver()
}

// Broken ends the connection. What was under way is sent again on the next one.
func (k *link) Broken(err error) {
	w := k.s.w
	w.h.Log.Warn("connection to log-server ended", slog.String(logkey.Peer, k.s.node.String()), slog.Any(logkey.Err, err))
	w.mu.Lock()
	if !k.dead {
		k.dead = true
		if k.s.link == k {
			k.s.lostLocked()
		} else { // it broke before it was made
			k.s.backOffLocked()
		}
	}
	w.mu.Unlock()
	w.wakeUp()
}

// lostLocked gives up the connection and its frame, which somebody may still be reading.
func (s *site) lostLocked() {
	if s.link != nil {
		s.link.dead = true
		s.link = nil
	}
	if s.busy {
		s.busy = false
		for _, g := range s.sent {
			g.l.seq.Lost(g.member)
			g.l.wave++
			g.l.queueLocked()
		}
	}
	s.frame, s.sent, s.bytes = &logproto.Frame{}, nil, nil
	for _, l := range s.w.loglets { // what it said before is no answer any more
		for i, at := range l.sites {
			if at == s {
				l.answeredLocked(i, false)
			}
		}
	}
	s.backOffLocked()
}

// limitLocked sets how long the next frame may take.
func (s *site) limitLocked(d time.Duration) {
	s.limit = min(max(d, s.w.cfg.StoreTimeout), s.w.cfg.StoreTimeoutMax)
}

// backOffLocked pauses the site; upkeep ends the pause.
func (s *site) backOffLocked() {
	s.pause = min(max(2*s.pause, s.w.cfg.RetryMin), s.w.cfg.RetryMax)
	s.retryAt = s.w.h.Clock.Now().Add(s.pause)
	s.w.wakeUp()
}
