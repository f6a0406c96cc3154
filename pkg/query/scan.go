package query

import (
	"context"
	"net/http"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/query/pipe"
	"reprise/pkg/query/scan"
	"reprise/pkg/query/table"
)

// How often a scan looks for a leader: soon at first, for a partition often has one again within a second.
const (
	leaderPauseMin = 20 * time.Millisecond
	leaderPauseMax = 500 * time.Millisecond
)

// scan brings the rows that a statement wants of a table.
func (e *Engine) scan(ctx context.Context, d Dialect, r *scan.Request, emit func(scan.Batch) error) (pipe.Scanned, error) {
	begun := e.host.Clock.Now()
	nodes, err := e.scanAll(ctx, d, r, emit)
	return pipe.Scanned{Nodes: nodes, Elapsed: e.host.Clock.Now().Sub(begun)}, err
}

// scanAll returns how many other nodes were asked.
func (e *Engine) scanAll(ctx context.Context, d Dialect, r *scan.Request, emit func(scan.Batch) error) (int, error) {
	if d == Cluster || !scan.Partitioned(r.Table) {
		return 0, e.source(d).Scan(ctx, r, emit)
	}
	n := e.parts.Count()
	if n == 0 {
		return 0, errs.Newf(errs.Unavailable, "the partitions of the cluster are not known yet")
	}
	partitions, err := r.Partitions(n)
	if err != nil {
		return 0, pipe.Failuref(http.StatusInternalServerError, "Datafusion error: External error: %v", err)
	}
	nodes := map[id.Node]bool{}
	left := *r
	for _, p := range partitions {
		err := e.scanLed(ctx, p, &left, func(b scan.Batch) error {
			if b.Rows == 0 { // a sign of life
				return nil
			}
			if r.Limit > 0 {
				left.Limit -= min(left.Limit, uint64(b.Rows))
			}
			e.metrics.rows.Add(float64(b.Rows))
			e.metrics.bytes.Add(float64(len(b.Data)))
			return emit(b)
		})
		if err != nil {
			return len(nodes), err
		}
		if at := e.parts.Node(p); at != 0 {
			nodes[at] = true
		}
		if r.Limit > 0 && left.Limit == 0 {
			break
		}
	}
	return len(nodes), nil
}

func (e *Engine) source(d Dialect) *table.Static {
	switch d {
	case Cluster:
		return e.cluster
	case Postgres:
		return e.postgres
	default:
		return e.static
	}
}

// scanLed scans a partition, and waits if it has no leader at the moment. Once there were rows it cannot begin again:
// the next leader would send them a second time.
func (e *Engine) scanLed(ctx context.Context, p id.Partition, r *scan.Request, emit func(scan.Batch) error) error {
	until := e.host.Clock.Now().Add(e.cfg.LeaderWait)
	begun := false
	for pause := leaderPauseMin; ; pause = min(2*pause, leaderPauseMax) {
		err := e.parts.Partitions.Scan(ctx, p, r, func(b scan.Batch) error {
			begun = begun || b.Rows > 0
			return emit(b)
		})
		if err == nil || begun || !errs.Is(err, errs.NotLeader) && !errs.Is(err, errs.Unavailable) || ctx.Err() != nil {
			return err
		}
		if !e.host.Clock.Now().Before(until) {
			return errs.Newf(errs.CodeOf(err), "partition %d had no leader for %s: %w", p, e.cfg.LeaderWait, err)
		}
		if err := e.pause(ctx, pause); err != nil {
			return err
		}
	}
}

func (e *Engine) pause(ctx context.Context, d time.Duration) error {
	timer := e.host.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
