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
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/query/pipe"
	"reprise/pkg/query/table"
)

// Engine answers statements. It is a part of the admin role.
type Engine struct {
	cfg     Config
	parts   Parts
	host    host.Host
	metrics *metrics
	bucket  *bucket // of statements over HTTP

	// What is not in partitions: for users, for clients of Postgres, for operators.
	static, postgres, cluster *table.Static

	slots chan struct{} // one for each statement that runs
	ready chan struct{}

	// mu guards what follows. It is a leaf.
	mu     sync.Mutex
	memory int64            // MemoryBytes now
	group  *lifecycle.Group // of scans; nil unless Run runs
	idle   []*process       // the one that was used last is last
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
	ofCluster, err := table.NewClusterCatalog()
	if err != nil {
		return nil, err
	}
	if parts.Node == nil {
		parts.Node = func(id.Partition) id.Node { return 0 }
	}
	if parts.Cluster == nil {
		parts.Cluster = func() table.Cluster { return table.Cluster{} }
	}
	e := &Engine{
		cfg: cfg, parts: parts, host: h, static: table.NewStatic(catalog, parts.Registry), metrics: newMetrics(h.Metrics),
		cluster: table.NewClusterStatic(ofCluster, parts.Cluster, parts.Chains), bucket: newBucket(cfg.RatePerSecond, cfg.BurstMax, h.Clock),
		slots: make(chan struct{}, cfg.ConcurrentMax), ready: make(chan struct{}), memory: cfg.MemoryBytes,
	}
	e.postgres = e.static.ForPostgres()
	return e, nil
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

// SetLimits replaces MemoryBytes, RatePerSecond and BurstMax. Statements that run keep the memory with which they began.
func (e *Engine) SetLimits(memoryBytes int64, perSecond float64, burst uint32) {
	e.bucket.set(perSecond, burst)
	e.mu.Lock()
	same := memoryBytes == e.memory
	e.memory = memoryBytes
	e.mu.Unlock()
	if same {
		return
	}
	for _, p := range e.expired(true) {
		e.discard(p)
	}
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
	e.mu.Lock()
	cfg := e.cfg
	cfg.MemoryBytes = e.memory
	e.mu.Unlock()
	p, err := startProcess(&cfg)
	if err == nil {
		e.metrics.processes.Inc()
		e.metrics.started.Inc()
	}
	return p, err
}

// give takes a process back that has answered.
func (e *Engine) give(p *process) {
	p.reused, p.since = true, e.host.Clock.Now()
	if !p.rise() {
		e.discard(p)
		return
	}
	e.mu.Lock()
	if e.group != nil && len(e.idle) < e.cfg.IdleMax && p.memory == e.memory {
		e.idle = append(e.idle, p)
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	e.discard(p)
}

// spawn runs a part of a statement; false if the engine does not run.
func (e *Engine) spawn(f func(ctx context.Context)) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.group == nil {
		return false
	}
	e.group.Go("statement", func(ctx context.Context) error {
		f(ctx)
		return nil
	})
	return true
}

// failure is an answer in the words of the contract.
func failure(format string, args ...any) error {
	return pipe.Failuref(http.StatusInternalServerError, "Datafusion error: "+format, args...)
}

// Dialect says for whom a statement is.
type Dialect uint8

// The dialects.
const (
	Users    Dialect = iota // of the HTTP API
	Postgres                // the same tables, with types as Postgres calls them
	Cluster                 // the tables of those who operate the cluster
)

// Query runs a statement until its first rows are there, or it has none. An error is a *pipe.Failure, or the cause of
// the end of ctx. Whoever has Rows closes them; the end of ctx ends them, too.
func (e *Engine) Query(ctx context.Context, sql string) (*Rows, error) { return e.Ask(ctx, Users, sql) }

// Ask is Query in a dialect.
func (e *Engine) Ask(ctx context.Context, d Dialect, sql string) (*Rows, error) {
	return e.start(ctx, d, pipe.Question{SQL: sql})
}

// Describe tells what a statement takes and gives, without running it. It may have parameters: $1, $2, ...
func (e *Engine) Describe(ctx context.Context, d Dialect, sql string) (pipe.Description, error) {
	r, err := e.start(ctx, d, pipe.Question{SQL: sql, Describe: true})
	if err != nil {
		return pipe.Description{}, err
	}
	defer func() { _ = r.Close() }() // only read
	for r.shape == nil && !r.done {
		if err := r.frame(); err != nil {
			return pipe.Description{}, r.explain(err)
		}
	}
	for !r.done { // so that the process is of use again
		if err := r.frame(); err != nil {
			return pipe.Description{}, r.explain(err)
		}
	}
	if r.shape == nil { // SET, PREPARE: no rows
		return pipe.Description{}, nil
	}
	return *r.shape, nil
}

func (e *Engine) start(ctx context.Context, d Dialect, q pipe.Question) (*Rows, error) {
	if err := e.await(ctx); err != nil {
		e.metrics.refused.Inc()
		return nil, err
	}
	q.Partitions, q.Cluster = e.parts.Count(), d == Cluster
	r, err := e.run(ctx, d, q)
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

func (e *Engine) run(ctx context.Context, d Dialect, q pipe.Question) (*Rows, error) {
	for try := 0; ; try++ {
		p, err := e.take(try > 0)
		if err != nil {
			e.host.Log.LogAttrs(ctx, slog.LevelError, "query process cannot be started", slog.Any(logkey.Err, err))
			return nil, failure("Execution error: %v", err)
		}
		r := newRows(ctx, e, p, d)
		again := p.reused && try == 0
		if err = p.in.WriteJSON(pipe.Statement, 0, q); err == nil {
			r.pace()
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

var errEnded = errors.New("the statement has ended")

// ended tells whether an error says that the process is gone.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isBrokenPipe(err)
}
