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

func (s *Server) checkSpace() {
	free, ok := s.store.Free()
	full := ok && free < s.cfg.ReserveBytes
	if was := s.full.Swap(full); was == full {
		return
	}
	if full {
		s.h.Log.Error("log-server stores nothing more: free space is below the reserve",
			slog.Uint64(logkey.Bytes, free), slog.String(logkey.Node, s.self.String()))
		return
	}
	s.h.Log.Info("log-server stores again", slog.Uint64(logkey.Bytes, free), slog.String(logkey.Node, s.self.String()))
}
