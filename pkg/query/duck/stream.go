//go:build duckdb_arrow && cgo

package duck

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory/mallocator"

	"reprise/pkg/query/pipe"
	"reprise/pkg/query/scan"
)

var _ array.RecordReader = (*stream)(nil)

// stream is a scan as DuckDB reads it: from one thread at a time, lazily. It is opened when the first batch is wanted.
type stream struct {
	process *process
	request *scan.Request
	schema  *arrow.Schema
	number  uint32
	frames  chan pipe.Frame // capacity pipe.Window+1: what was asked for, and the end
	memory  *mallocator.Mallocator
	gone    chan struct{} // closed when nobody reads any more

	opened  bool
	current arrow.RecordBatch
	rows    atomic.Int64
	bytes   atomic.Int64
	batches atomic.Int64
	scanned atomic.Pointer[pipe.Scanned] // nil: the scan did not come to its end

	// mu guards what follows. It is a leaf.
	mu      sync.Mutex
	over    bool // gone is closed
	failure error
}

func newStream(p *process, q *scan.Request, schema *arrow.Schema) *stream {
	s := &stream{
		process: p, request: q, schema: schema, frames: make(chan pipe.Frame, pipe.Window+1), memory: mallocator.NewMallocator(), gone: make(chan struct{}),
	}
	p.add(s)
	return s
}

// take keeps a frame, copied. There is room for all that were asked for.
func (s *stream) take(f pipe.Frame) error {
	f.Payload = bytes.Clone(f.Payload)
	select {
	case s.frames <- f:
		return nil
	case <-s.gone:
		return nil
	default:
		return fmt.Errorf("scan %d: more batches than were asked for", s.number)
	}
}

// Retain implements array.RecordReader: the statement holds the stream while it runs.
func (s *stream) Retain() {}

// Release implements array.RecordReader.
func (s *stream) Release() {}

// Schema implements array.RecordReader.
func (s *stream) Schema() *arrow.Schema { return s.schema }

// Err implements array.RecordReader.
func (s *stream) Err() error { return s.failed() }

// RecordBatch implements array.RecordReader.
func (s *stream) RecordBatch() arrow.RecordBatch { return s.current }

// Record implements array.RecordReader.
func (s *stream) Record() arrow.RecordBatch { return s.current }

// Next waits for the next batch.
func (s *stream) Next() bool {
	s.drop()
	more, err := s.next()
	if err != nil {
		s.fail(err)
	}
	return more && err == nil
}

func (s *stream) next() (bool, error) {
	if s.failed() != nil {
		return false, nil
	}
	if !s.opened {
		s.opened = true
		if err := s.process.out.WriteJSON(pipe.Open, s.number, s.request); err != nil {
			return false, err
		}
	}
	select {
	case f := <-s.frames:
		switch f.Kind {
		case pipe.Batch:
			return true, s.decode(f.Payload)
		case pipe.ScanEnd:
			var done pipe.Scanned
			if err := f.Decode(&done); err != nil {
				return false, err
			}
			s.scanned.Store(&done)
			s.frames <- f // it stays the end; there is room, for nothing follows
			return false, nil
		default:
			var failure pipe.Failure
			if err := f.Decode(&failure); err != nil {
				return false, err
			}
			return false, &failure
		}
	case <-s.gone:
		return false, nil
	}
}

// decode makes the batch the present one, in memory that Go does not move or count: DuckDB holds on to it.
func (s *stream) decode(data []byte) error {
	r, err := ipc.NewReader(bytes.NewReader(data), ipc.WithAllocator(s.memory), ipc.WithSchema(s.schema))
	if err != nil {
		return fmt.Errorf("batch of %s: %w", s.request.Table, err)
	}
	defer r.Release()
	if !r.Next() {
		return fmt.Errorf("batch of %s has no rows: %w", s.request.Table, r.Err())
	}
	s.current = r.RecordBatch()
	s.current.Retain()
	s.rows.Add(s.current.NumRows())
	s.bytes.Add(int64(len(data)))
	s.batches.Add(1)
	return s.process.out.Write(pipe.More, s.number, nil)
}

// metrics is what the scan brought, as EXPLAIN ANALYZE tells it. One that was not read to its end has no time.
func (s *stream) metrics() string {
	text := fmt.Sprintf("output_rows=%d, output_bytes=%d, output_batches=%d", s.rows.Load(), s.bytes.Load(), s.batches.Load())
	if done := s.scanned.Load(); done != nil {
		text += fmt.Sprintf(", elapsed=%s, remote_nodes=%d", done.Elapsed, done.Nodes)
	}
	return text
}

func (s *stream) drop() {
	if s.current != nil {
		s.current.Release()
		s.current = nil
	}
}

func (s *stream) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil {
		s.failure = err
	}
}

// close says that nothing more is wanted. The owner ends a scan that is not.
func (s *stream) close() {
	s.mu.Lock()
	over := s.over
	s.over = true
	s.mu.Unlock()
	if over {
		return
	}
	close(s.gone)
	s.drop()
	if s.opened {
		// If this cannot be written the owner is gone, which ends the process.
		_ = s.process.out.Write(pipe.Close, s.number, nil)
	}
}
