package query

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/query/pipe"
	"reprise/pkg/query/scan"
	"reprise/pkg/query/table"
)

// Engine answers statements. It is a part of the admin role.
type Engine struct {
	cfg     Config
	parts   Parts
	host    host.Host
	static  *table.Static
	metrics *metrics
	slots   chan struct{} // one for each statement that runs
	ready   chan struct{}

	// mu guards what follows. It is a leaf.
	mu    sync.Mutex
	group *lifecycle.Group // of scans; nil unless Run runs
	idle  []*process       // the one that was used last is last
}

// New checks cfg and returns an Engine.
func New(cfg Config, parts Parts, h host.Host) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, errs.With(errs.Invalid, err)
	}
	catalog, err := table.NewCatalog()
	if err != nil {
		return nil, err
	}
	return &Engine{
		cfg: cfg, parts: parts, host: h, static: table.NewStatic(catalog, parts.Registry), metrics: newMetrics(h.Metrics),
		slots: make(chan struct{}, cfg.ConcurrentMax), ready: make(chan struct{}),
	}, nil
}

// Ready is closed when statements are taken.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// Run owns scans and processes until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	group := lifecycle.NewGroup(ctx)
	group.Go("query processes", func(ctx context.Context) error {
		e.setGroup(group) // scans may join while this goroutine lives
		close(e.ready)
		e.reap(ctx)
		e.setGroup(nil)
		return nil
	})
	err := group.Wait()
	for _, p := range e.expired(true) {
		e.discard(p)
	}
	return err
}

func (e *Engine) setGroup(g *lifecycle.Group) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.group = g
}

// reap ends processes that nobody has used for long.
func (e *Engine) reap(ctx context.Context) {
	timer := e.host.Clock.NewTimer(e.cfg.IdleTimeout / 2)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C():
		}
		for _, p := range e.expired(false) {
			e.discard(p)
		}
		timer.Reset(e.cfg.IdleTimeout / 2)
	}
}

// expired takes the idle processes that are to end, or all of them.
func (e *Engine) expired(all bool) (out []*process) {
	now := e.host.Clock.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := e.idle[:0]
	for _, p := range e.idle {
		if all || now.Sub(p.since) >= e.cfg.IdleTimeout {
			out = append(out, p)
		} else {
			kept = append(kept, p)
		}
	}
	clear(e.idle[len(kept):])
	e.idle = kept
	return out
}

func (e *Engine) discard(p *process) {
	p.kill()
	e.metrics.processes.Dec()
}

// take returns a process, idle or new.
func (e *Engine) take(fresh bool) (*process, error) {
	if !fresh {
		e.mu.Lock()
		if n := len(e.idle); n > 0 {
			p := e.idle[n-1]
			e.idle[n-1] = nil
			e.idle = e.idle[:n-1]
			e.mu.Unlock()
			return p, nil
		}
		e.mu.Unlock()
	}
	p, err := startProcess(&e.cfg)
	if err == nil {
		e.metrics.processes.Inc()
		e.metrics.started.Inc()
	}
	return p, err
}

// give takes a process back that has answered.
func (e *Engine) give(p *process) {
	p.reused, p.since = true, e.host.Clock.Now()
	e.mu.Lock()
	if e.group != nil && len(e.idle) < e.cfg.IdleMax {
		e.idle = append(e.idle, p)
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	e.discard(p)
}

// spawn runs a scan; false if the engine does not run.
func (e *Engine) spawn(f func(ctx context.Context)) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.group == nil {
		return false
	}
	e.group.Go("scan", func(ctx context.Context) error {
		f(ctx)
		return nil
	})
	return true
}

// failure is an answer in the words of the contract.
func failure(format string, args ...any) error {
	return pipe.Failuref(http.StatusInternalServerError, "Datafusion error: "+format, args...)
}

// Query runs a statement until its first rows are there, or it has none. An error is a *pipe.Failure, or the cause of
// the end of ctx. Whoever has Rows closes them; the end of ctx ends them, too.
func (e *Engine) Query(ctx context.Context, sql string) (*Rows, error) {
	if err := e.await(ctx); err != nil {
		e.metrics.refused.Inc()
		return nil, err
	}
	r, err := e.run(ctx, sql)
	if err != nil {
		<-e.slots
		e.metrics.statements.WithLabelValues("failed").Inc()
		return nil, err
	}
	return r, nil
}

// await waits for a slot.
func (e *Engine) await(ctx context.Context) error {
	select {
	case e.slots <- struct{}{}:
		return nil
	default:
	}
	timer := e.host.Clock.NewTimer(e.cfg.WaitMax)
	defer timer.Stop()
	select {
	case e.slots <- struct{}{}:
		return nil
	case <-timer.C():
		return failure("Resources exhausted: %d other statements run", e.cfg.ConcurrentMax)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *Engine) run(ctx context.Context, sql string) (*Rows, error) {
	for try := 0; ; try++ {
		p, err := e.take(try > 0)
		if err != nil {
			e.host.Log.LogAttrs(ctx, slog.LevelError, "query process cannot be started", slog.Any(logkey.Err, err))
			return nil, failure("Execution error: %v", err)
		}
		r := newRows(ctx, e, p)
		again := p.reused && try == 0
		if err = p.in.WriteJSON(pipe.Statement, 0, pipe.Question{SQL: sql, Partitions: e.parts.Count()}); err == nil {
			err = r.first()
		}
		if err == nil {
			return r, nil
		}
		heard := r.heard
		r.end()
		if again && !heard && ctx.Err() == nil { // it died while nobody looked: another one does as well
			continue
		}
		return nil, r.explain(err)
	}
}

// scan brings the rows that a statement wants of a table.
func (e *Engine) scan(ctx context.Context, r *scan.Request, emit func(scan.Batch) error) error {
	if !scan.Partitioned(r.Table) {
		return e.static.Scan(r, emit)
	}
	n := e.parts.Count()
	if n == 0 {
		return errs.Newf(errs.Unavailable, "the partitions of the cluster are not known yet")
	}
	partitions, err := r.Partitions(n)
	if err != nil {
		return pipe.Failuref(http.StatusInternalServerError, "Datafusion error: External error: %v", err)
	}
	left := *r
	for _, p := range partitions {
		err := e.parts.Partitions.Scan(ctx, p, &left, func(b scan.Batch) error {
			if r.Limit > 0 {
				left.Limit -= min(left.Limit, uint64(b.Rows))
			}
			e.metrics.rows.Add(float64(b.Rows))
			e.metrics.bytes.Add(float64(len(b.Data)))
			return emit(b)
		})
		if err != nil {
			return err
		}
		if r.Limit > 0 && left.Limit == 0 {
			return nil
		}
	}
	return nil
}

var errEnded = errors.New("the statement has ended")

// ended tells whether an error says that the process is gone.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isBrokenPipe(err)
}
