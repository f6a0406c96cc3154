//go:build duckdb_arrow && cgo

package duck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"

	"reprise/pkg/errs"
	"reprise/pkg/lifecycle"
	"reprise/pkg/query/pipe"
)

// Available tells whether this binary can answer SQL.
const Available = true

// process is the query process.
type process struct {
	out        *pipe.Writer
	config     chan pipe.Config   // capacity 1: the first frame
	statements chan pipe.Question // capacity 1: there is one at a time

	// mu guards what follows. It is a leaf.
	mu    sync.Mutex
	scans map[uint32]*stream // of the present statement, by number; numbers are never used again
	last  uint32
}

// gcPercent: what a statement keeps is DuckDB's. The heap of Go is a few MiB of plans and batches, which would be
// collected once or twice for each look-up.
const gcPercent = 800

// Main runs statements until in ends, and returns the exit code.
func Main(in io.ReadCloser, out io.Writer) int {
	debug.SetGCPercent(gcPercent)
	p := &process{
		out: pipe.NewWriter(out), config: make(chan pipe.Config, 1), statements: make(chan pipe.Question, 1), scans: map[uint32]*stream{},
	}
	group := lifecycle.NewGroup(context.Background())
	group.Go("read", func(context.Context) error {
		err := p.read(pipe.NewReader(in))
		if errors.Is(err, io.EOF) {
			// The owner is gone or wants no more. What runs cannot be told to stop, and nothing is worth waiting for.
			os.Exit(0)
		}
		return p.complain(err)
	})
	_ = p.complain(p.run(context.Background()))
	return 1
}

// complain ends the process: without one of its two goroutines it is of no use.
func (p *process) complain(err error) error {
	_, _ = fmt.Fprintln(os.Stderr, "query process:", err)
	os.Exit(1)
	return err
}

// read hands frames to whom they are for. It never waits for a statement: each scan has room for what it asked for.
func (p *process) read(r *pipe.Reader) error {
	for {
		f, err := r.Next()
		if err != nil {
			return err
		}
		switch f.Kind {
		case pipe.Configure:
			var c pipe.Config
			if err := f.Decode(&c); err != nil {
				return err
			}
			p.config <- c
		case pipe.Statement:
			var q pipe.Question
			if err := f.Decode(&q); err != nil {
				return err
			}
			p.statements <- q
		case pipe.Batch, pipe.ScanEnd, pipe.ScanFailed:
			p.mu.Lock()
			s := p.scans[f.Scan]
			p.mu.Unlock()
			if s == nil {
				continue // its statement is over
			}
			if err := s.take(f); err != nil {
				return err
			}
		default:
			return errs.Newf(errs.Invalid, "frame of kind %d", f.Kind)
		}
	}
}

// run answers statements.
func (p *process) run(ctx context.Context) error {
	config := <-p.config
	if err := limit(config.MemoryBytes); err != nil {
		return err
	}
	all, err := newCatalogs()
	if err != nil {
		return err
	}
	e, err := open(ctx, config, all)
	if err != nil {
		return err
	}
	for q := range p.statements {
		s := newStatement(e, p, q)
		err := s.run(ctx)
		p.forget()
		if err == nil {
			if err := p.out.Write(pipe.Done, 0, nil); err != nil {
				return err
			}
		} else if err := p.fail(err); err != nil {
			return err
		}
		if !s.clean { // what a failed statement left behind is not looked at
			e.close()
			if e, err = open(ctx, config, all); err != nil {
				return err
			}
		}
	}
	return nil
}

// forget ends the scans of a statement.
func (p *process) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.scans)
}

// add makes the stream of a scan known.
func (p *process) add(s *stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	s.number = p.last
	p.scans[s.number] = s
}

// fail tells why a statement failed.
func (p *process) fail(err error) error {
	var f *pipe.Failure
	if !errors.As(err, &f) {
		f = failureOf(err)
	}
	return p.out.WriteJSON(pipe.Failed, 0, f)
}
