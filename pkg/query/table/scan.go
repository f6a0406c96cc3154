package table

import (
	"context"
	"errors"
	"io"
	"runtime"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/partitionstore"
	"reprise/pkg/query/scan"
	"reprise/pkg/schema"
)

// Reading says what of a partition is read beside its rows.
type Reading struct {
	Partition id.Partition
	Live      bool            // what is known of the invocations that run
	LiveIDs   []id.Invocation // not nil: of these only
}

// Reader lends the rows of partitions that are led here.
type Reader interface {
	// Read calls f with the rows as they are now. f ends soon after its ctx.
	Read(ctx context.Context, what Reading, f func(context.Context, *partitionstore.Snapshot, []invocation.Live) error) error
}

// Scanner scans partitions that are led in this process.
type Scanner struct {
	catalog    *Catalog
	reader     Reader
	partitions func() uint32
	registry   func() *schema.Registry
	// slots bound how many scans work at a time, so that the loops of partitions get their share of the cores.
	// A scan holds one while it makes a batch, and none while its batch is on the way.
	slots chan struct{}
}

// NewScanner returns a Scanner of which so many scans work at a time. registry tells what handlers are, as of now.
func NewScanner(c *Catalog, r Reader, partitions func() uint32, registry func() *schema.Registry, working int) *Scanner {
	return &Scanner{catalog: c, reader: r, partitions: partitions, registry: registry, slots: make(chan struct{}, working)}
}

// Scan emits the rows of a partition that a request wants. A batch is given away. Codes: Invalid, NotLeader, and
// those of emit.
func (s *Scanner) Scan(ctx context.Context, p id.Partition, r *scan.Request, emit func(scan.Batch) error) error {
	t, err := s.catalog.Check(r)
	if err != nil {
		return err
	}
	source := sources[r.Table]
	if source.rows == nil {
		return nil // nothing makes such rows
	}
	in := input{request: r, table: t, partition: p, partitions: s.partitions(), registry: s.registry()}
	reading := Reading{Partition: p, Live: source.live}
	if source.live {
		reading.LiveIDs = r.IDs("id", p, in.partitions)
	}
	return s.reader.Read(ctx, reading, func(ctx context.Context, snap *partitionstore.Snapshot, live []invocation.Live) error {
		in.snap, in.live = snap, live
		if err := s.work(ctx); err != nil {
			return err
		}
		defer func() { <-s.slots }()
		in.emit = func(b scan.Batch) error {
			<-s.slots
			err := emit(b)
			s.slots <- struct{}{} // it is held again, whatever comes
			return err
		}
		in.goOn = ctx.Err
		err := source.rows(&in)
		if cause := context.Cause(ctx); err != nil && cause != nil {
			return cause
		}
		return err
	})
}

func (s *Scanner) work(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// input is what a source reads.
type input struct {
	ctx        context.Context //nolint:containedctx // of the scan, for sources that ask others
	request    *scan.Request
	table      *Table
	partition  id.Partition
	partitions uint32
	registry   *schema.Registry
	snap       *partitionstore.Snapshot
	live       []invocation.Live
	backward   bool // the newest invocations first
	active     bool // only invocations that are not completed
	emit       func(scan.Batch) error
	goOn       func() error // the reason not to
}

// source makes the rows of one table.
type source struct {
	live bool // it reads what is live
	rows func(*input) error
}

// errEnough ends a source whose further rows nobody wants.
var errEnough = errors.New("enough")

// checkEvery is after how many rows a source looks whether it is to go on.
const checkEvery = 256

// aliveEvery is after how many rows that nobody wants a source gives a sign of life, which is an empty batch.
const aliveEvery = 1 << 17

// rowsOf makes a source of rows of type R: each calls yield with one after the other, and returns its error.
func rowsOf[R any](cells []cell[R], each func(in *input, yield func(*R) error) error) func(*input) error {
	return func(in *input) (err error) {
		w, err := newWriter(in.table, cells, in.request, in.emit)
		if err != nil {
			return err
		}
		defer w.release()
		n := 0
		err = each(in, func(row *R) error {
			if n++; n%checkEvery == 0 && in.goOn != nil {
				runtime.Gosched() // whatever else wants to run goes first
				if err := in.goOn(); err != nil {
					return err
				}
			}
			if n%aliveEvery == 0 {
				if err := in.emit(scan.Batch{}); err != nil {
					return err
				}
			}
			more, err := w.add(row)
			if err == nil && !more {
				err = errEnough
			}
			return err
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		return w.flush()
	}
}

// sources are the tables that partitions have rows for.
var sources = map[string]source{
	"sys_invocation_status":    {rows: rowsOf(statusCells, statusRows)},
	"sys_invocation_state":     {live: true, rows: rowsOf(liveCells, liveRows)},
	"sys_journal":              {rows: rowsOf(journalCells, journalRows)},
	"sys_journal_events":       {rows: rowsOf(eventCells, eventRows)},
	"sys_inbox":                {rows: rowsOf(inboxCells, inboxRows)},
	"sys_keyed_service_status": {rows: rowsOf(lockCells, lockRows)},
	"state":                    {rows: rowsOf(stateCells, stateRows)},
	"sys_promise":              {rows: rowsOf(promiseCells, promiseRows)},
}

// object is which objects' rows a request asks for.
func (in *input) object() (o partitionstore.Object) {
	o.Service, o.HasService = in.request.Only("service_name")
	o.Key, o.HasKey = in.request.Only("service_key")
	return o
}

// walk yields all that next returns until io.EOF, then closes.
func walk[R any](rows io.Closer, next func() (R, error), yield func(*R) error) (err error) {
	defer errs.CloseInto(&err, rows)
	for {
		row, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := yield(&row); err != nil {
			return err
		}
	}
}
