package query

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"syscall"

	"reprise/pkg/errs"
	"reprise/pkg/logkey"
	"reprise/pkg/query/pipe"
	"reprise/pkg/query/scan"
)

// Rows is the answer to a statement: an Arrow IPC stream. One goroutine reads it.
type Rows struct {
	engine  *Engine
	process *process
	ctx     context.Context //nolint:containedctx // of the statement: its scans end with it
	cancel  context.CancelCauseFunc
	unwatch func() bool
	scans   map[uint32]*scanning
	running sync.WaitGroup // scans
	dialect Dialect
	tables  []string // that were scanned
	shape   *pipe.Description

	piece []byte // not yet read
	heard bool   // the process has said something
	done  bool   // the process has ended the statement
	over  bool   // end was called
}

// scanning is a scan that runs for a statement.
type scanning struct {
	credit chan struct{} // batches that the process has room for
	cancel context.CancelCauseFunc
}

func newRows(ctx context.Context, e *Engine, p *process, d Dialect) *Rows {
	r := &Rows{engine: e, process: p, dialect: d, scans: map[uint32]*scanning{}}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	r.unwatch = context.AfterFunc(ctx, p.kill) // what a process does cannot be stopped in another way
	return r
}

// first reads until there is something to tell.
func (r *Rows) first() error {
	for len(r.piece) == 0 && r.shape == nil && !r.done {
		if err := r.frame(); err != nil {
			return err
		}
	}
	return nil
}

// Read implements io.Reader. The stream is whole if it ends with io.EOF.
func (r *Rows) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for len(r.piece) == 0 {
		if r.done {
			return 0, io.EOF
		}
		if err := r.frame(); err != nil {
			return 0, r.explain(err)
		}
	}
	n := copy(b, r.piece)
	r.piece = r.piece[n:]
	return n, nil
}

// frame takes one frame of the process.
func (r *Rows) frame() error {
	f, err := r.process.out.Next()
	if err != nil {
		return err
	}
	r.heard = true
	switch f.Kind {
	case pipe.Open:
		var q scan.Request
		if err := f.Decode(&q); err != nil {
			return err
		}
		return r.open(f.Scan, &q)
	case pipe.More:
		if s := r.scans[f.Scan]; s != nil {
			select {
			case s.credit <- struct{}{}:
			default:
				return errs.Newf(errs.Internal, "the query process asks for more batches than it may")
			}
		}
	case pipe.Close:
		if s := r.scans[f.Scan]; s != nil {
			s.cancel(errEnded)
		}
	case pipe.Result:
		r.piece = f.Payload // until the next frame is read
	case pipe.Shape:
		r.shape = &pipe.Description{}
		return f.Decode(r.shape)
	case pipe.Done:
		r.done = true
	case pipe.Failed:
		var failed pipe.Failure
		if err := f.Decode(&failed); err != nil {
			return err
		}
		r.done = true
		return &failed
	default:
		return errs.Newf(errs.Internal, "frame of kind %d from the query process", f.Kind)
	}
	return nil
}

// open begins a scan.
func (r *Rows) open(number uint32, q *scan.Request) error {
	s := &scanning{credit: make(chan struct{}, pipe.Window)}
	for range pipe.Window {
		s.credit <- struct{}{}
	}
	ctx, cancel := context.WithCancelCause(r.ctx)
	s.cancel = cancel
	r.scans[number] = s
	r.tables = append(r.tables, q.Table)
	r.running.Add(1)
	started := r.engine.spawn(func(stop context.Context) {
		defer r.running.Done()
		defer cancel(nil)
		release := context.AfterFunc(stop, func() { cancel(context.Cause(stop)) })
		defer release()
		r.scan(ctx, number, s, q)
	})
	if !started {
		r.running.Done()
		return errs.Newf(errs.Unavailable, "SQL is not answered now")
	}
	return nil
}

// scan sends the batches of a scan, each when there is room for it.
func (r *Rows) scan(ctx context.Context, number uint32, s *scanning, q *scan.Request) {
	in := r.process.in
	done, err := r.engine.scan(ctx, r.dialect, q, func(b scan.Batch) error {
		select {
		case <-s.credit:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		return in.Write(pipe.Batch, number, b.Data)
	})
	switch {
	case ctx.Err() != nil: // nobody waits for it
		return
	case err == nil:
		err = in.WriteJSON(pipe.ScanEnd, number, done)
	default:
		var failed *pipe.Failure
		if !errors.As(err, &failed) {
			failed = pipe.Failuref(http.StatusInternalServerError, "Datafusion error: External error: %v", err)
		}
		err = in.WriteJSON(pipe.ScanFailed, number, failed)
	}
	if err != nil { // the process is gone, and whoever reads from it knows
		r.engine.host.Log.LogAttrs(ctx, slog.LevelDebug, "scan lost its query process", slog.Any(logkey.Err, err))
	}
}

// end gives the process back if it has answered, else ends it.
func (r *Rows) end() {
	if r.over {
		return
	}
	r.over = true
	kept := r.unwatch() && r.done
	if !kept {
		r.process.kill() // first: a scan may wait until the process reads
	}
	r.cancel(errEnded)
	r.running.Wait()
	if kept {
		r.engine.give(r.process)
	} else {
		r.engine.discard(r.process)
	}
}

// Close ends the statement.
func (r *Rows) Close() error {
	if r.over {
		return nil
	}
	outcome := "completed"
	if !r.done {
		outcome = "cancelled"
	}
	r.end()
	<-r.engine.slots
	r.engine.metrics.statements.WithLabelValues(outcome).Inc()
	return nil
}

// Warnings say what is missing from the rows.
func (r *Rows) Warnings() (out []string) {
	if r.dialect != Cluster {
		return nil
	}
	slices.Sort(r.tables)
	for _, name := range slices.Compact(r.tables) {
		if err := r.engine.cluster.Partial(name); err != nil {
			out = append(out, err.Error())
		}
	}
	return out
}

// explain makes an answer of an error.
func (r *Rows) explain(err error) error {
	if cause := context.Cause(r.ctx); cause != nil && !errors.Is(cause, errEnded) {
		return cause
	}
	var failed *pipe.Failure
	if errors.As(err, &failed) {
		return failed
	}
	if !ended(err) {
		return failure("Execution error: %v", err)
	}
	r.process.kill()
	how := r.process.epitaph()
	r.engine.host.Log.LogAttrs(context.Background(), slog.LevelWarn, "query process ended within a statement", slog.String(logkey.Err, how))
	if r.process.starved() {
		return failure("Resources exhausted: the query process ran out of memory: %s", how)
	}
	return failure("Execution error: the query process ended: %s", how)
}

func isBrokenPipe(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, fs.ErrClosed)
}
