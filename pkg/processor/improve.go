package processor

import (
	"context"
	"log/slog"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/logkey"
	"reprise/pkg/lsn"
)

// leading is what a partition is led with. It is never changed.
type leading struct {
	epoch  lsn.Epoch
	loglet *storedv1.Loglet
}

// errImproving is how a tenure ends whose loglet is to be followed by one on better log-servers.
var errImproving = errs.Newf(errs.Unavailable, "it goes on with other log-servers")

const (
	// improveShare of the partitions led here are moved at a time at most, but always one: each is silent for a moment.
	improveShare = 3
	// improveAgain is how long a partition stays where it moved to, however good another place looks, doubling up to
	// improveAgainMax while it moves as soon as it may.
	improveAgain    = 30 * time.Second
	improveAgainMax = 30 * time.Minute
	// improveProbe bounds the question whether the metadata store would take a take-over.
	improveProbe = 500 * time.Millisecond
)

// improvement is what is known of the nodeset of a partition that is led here.
type improvement struct {
	epoch  lsn.Epoch // in which it was looked at
	since  time.Time // since when it has been improvable
	why    string    // "": it is not
	moved  time.Time // when it was improved last; zero: never
	damped time.Duration
}

// improvements decides which partitions move to better log-servers, and when.
type improvements struct {
	after time.Duration
	parts map[id.Partition]*improvement
}

func newImprovements(after time.Duration) *improvements {
	return &improvements{after: after, parts: map[id.Partition]*improvement{}}
}

// finding is what a look at a partition that is led here found.
type finding struct {
	partition id.Partition
	epoch     lsn.Epoch
	why       string // "": its nodeset is good
}

// step takes what a look found and returns which of it is to be acted on: what has been so for long enough, a share of all.
func (x *improvements) step(now time.Time, found []finding) (act []finding) {
	most := max(len(found)/improveShare, 1)
	for _, f := range found {
		s := x.parts[f.partition]
		if s == nil {
			s = &improvement{}
			x.parts[f.partition] = s
		}
		if s.epoch != f.epoch || s.why == "" || f.why == "" {
			s.epoch, s.since = f.epoch, now
		}
		s.why = f.why
		if f.why != "" && now.Sub(s.since) >= x.after && len(act) < most && (s.moved.IsZero() || now.Sub(s.moved) >= s.damped) {
			act = append(act, f)
		}
	}
	return act
}

// moved notes that a partition was moved.
func (x *improvements) moved(p id.Partition, now time.Time) {
	s := x.parts[p]
	if s.moved.IsZero() || now.Sub(s.moved) > 2*s.damped {
		s.damped = improveAgain
	} else {
		s.damped = min(2*s.damped, improveAgainMax)
	}
	s.moved, s.since = now, now
}

// keepImproving looks again and again whether what is led here is stored on the log-servers that it should be stored on,
// and has it led anew on others where it is not.
func (n *Node) keepImproving(ctx context.Context, parts []*part) error {
	known := newImprovements(n.cfg.ImproveAfter)
	timer := n.host.Clock.NewTimer(n.cfg.ImproveInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
		}
		for _, f := range known.step(n.host.Clock.Now(), n.lookAtNodesets(ctx, parts)) {
			if n.improve(ctx, parts[f.partition], f) {
				known.moved(f.partition, n.host.Clock.Now())
			}
		}
		timer.Reset(n.cfg.ImproveInterval)
	}
}

func (n *Node) lookAtNodesets(ctx context.Context, parts []*part) (found []finding) {
	for _, p := range parts {
		led := p.leads.Load()
		if led == nil {
			continue
		}
		why, err := n.nodesets.Improve(led.loglet)
		if err != nil { // the settings are not those of this binary; what is written goes on
			n.host.Log.LogAttrs(ctx, slog.LevelDebug, "nodeset cannot be judged", slog.Int(logkey.Partition, int(p.id)), slog.Any(logkey.Err, err))
			continue
		}
		found = append(found, finding{partition: p.id, epoch: led.epoch, why: why})
	}
	return found
}

// improve has a partition led anew, unless the metadata store would not let it: then its loglet is better than none.
func (n *Node) improve(ctx context.Context, p *part, f finding) bool {
	pctx, cancel := context.WithTimeout(ctx, improveProbe)
	defer cancel()
	l, err := n.meta.Lineage(pctx, p.id)
	if err != nil || lsn.Epoch(l.Epoch.GetEpoch()) != f.epoch {
		return false
	}
	n.host.Log.LogAttrs(ctx, slog.LevelInfo, "partition moves to better log-servers",
		slog.Int(logkey.Partition, int(p.id)), slog.Uint64(logkey.Epoch, uint64(f.epoch)), slog.String(logkey.Code, f.why))
	p.loop.mail.do(func() { p.loop.deposeIf(p, f.epoch, errImproving) })
	return true
}
