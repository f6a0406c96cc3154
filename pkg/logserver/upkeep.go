package logserver

import (
	"context"
	"log/slog"

	"reprise/pkg/host"
	"reprise/pkg/logkey"
)

// upkeepLoop looks at the free space and has known global tails written now and then.
func (s *Server) upkeepLoop(ctx context.Context) error {
	timer := s.h.Clock.NewTimer(s.cfg.CheckSpaceEvery)
	defer timer.Stop()
	kept := s.h.Clock.Now()
	for {
		if !wait(ctx, timer) {
			return nil
		}
		s.checkSpace()
		if now := s.h.Clock.Now(); now.Sub(kept) >= s.cfg.KeepKnownEvery {
			kept = now
			_ = s.push(op{kind: opUpkeep}) // the next time will do
		}
		timer.Reset(s.cfg.CheckSpaceEvery)
	}
}

func wait(ctx context.Context, t host.Timer) bool {
	select {
	case <-t.C():
		return true
	case <-ctx.Done():
		return false
	}
}

// space is how much of the disk is left.
type space uint32

const (
	spaceEnough space = 0
	// spaceLow: below the reserve. Only what a leader needs to begin is stored: repairs, and the first
	// group of a loglet. So what was done before can still be read.
	spaceLow space = 1
	// spaceOut: below half of the reserve. Nothing is stored but seals.
	spaceOut space = 2
)

// resumeShare: what has stopped goes on when so much more than the reserve is free, lest it stops again at once.
const resumeShare = 8

// checkSpace looks at the free space. The upkeep and the committer call it; who comes second of two at a
// time changes nothing.
func (s *Server) checkSpace() {
	free, total, ok := s.store.Space()
	was, now := space(s.left.Load()), spaceEnough
	reserve := host.Reserve(s.cfg.ReserveBytes, total)
	enough := reserve
	if was != spaceEnough {
		enough += reserve / resumeShare
	}
	switch {
	case !ok:
	case free < reserve/2:
		now = spaceOut
	case free < enough:
		now = spaceLow
	}
	if !s.left.CompareAndSwap(uint32(was), uint32(now)) || (was == spaceEnough) == (now == spaceEnough) {
		return
	}
	if now != spaceEnough {
		s.h.Log.Error("disk is nearly full: nothing new is stored until space is freed",
			slog.Uint64(logkey.Bytes, free), slog.Uint64(logkey.Limit, reserve), slog.String(logkey.Node, s.self.String()))
		return
	}
	s.h.Log.Info("disk has space again: work goes on", slog.Uint64(logkey.Bytes, free), slog.String(logkey.Node, s.self.String()))
}
