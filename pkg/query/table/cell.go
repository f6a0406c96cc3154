package table

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"reprise/pkg/query/scan"
)

// cell reads one column of a row of type R. One function is set, according to the kind of the column; ok is false
// for NULL. What a function returns is used before the row changes.
type cell[R any] struct {
	name   string
	text   func(*R) (v string, ok bool)
	bytes  func(*R) (v []byte, ok bool)
	number func(*R) (v uint64, ok bool) // also of times, durations and booleans
	uints  func(*R) (v []uint32, ok bool)
	texts  func(*R) (v []string, ok bool)
}

// Batches grow from few rows to many where a statement may need few rows only. Where it needs all, each batch costs as
// much again as some hundred rows.
const (
	batchRowsMin  = 128
	batchRowsMax  = 8192
	batchBytesMax = 1 << 20 // of texts and bytes
)

// writer gathers rows into batches.
type writer[R any] struct {
	emit    func(scan.Batch) error
	schema  *arrow.Schema
	cells   []*cell[R] // of the wanted columns; nil: the source does not know the column, it is NULL
	filters []filter[R]
	top     *top[R] // nil: no row is too small or too large
	builder *array.RecordBuilder
	rows    int
	bytes   int
	target  int    // rows of the batch in the making
	left    uint64 // rows that are wanted still
}

// filter is a Filter of a column that is known.
type filter[R any] struct {
	cell   *cell[R]
	null   bool
	not    bool
	values map[string]bool
}

func newWriter[R any](t *Table, cells []cell[R], r *scan.Request, emit func(scan.Batch) error) (*writer[R], error) {
	schema, err := t.Schema(r.Columns)
	if err != nil {
		return nil, err
	}
	w := &writer[R]{emit: emit, schema: schema, target: batchRowsMin, left: ^uint64(0)}
	if r.Limit > 0 {
		w.left = r.Limit
	} else if r.Top == nil {
		w.target = batchRowsMax
	}
	find := func(name string) *cell[R] {
		i := slices.IndexFunc(cells, func(c cell[R]) bool { return c.name == name })
		if i < 0 {
			return nil
		}
		return &cells[i]
	}
	for _, name := range r.Columns {
		w.cells = append(w.cells, find(name))
	}
	for _, f := range r.Filters {
		x := filter[R]{cell: find(f.Column), null: f.Null, not: f.Not, values: make(map[string]bool, len(f.Values))}
		for _, v := range f.Values {
			x.values[v] = true
		}
		w.filters = append(w.filters, x)
	}
	if r.Top != nil {
		if c := find(r.Top.Column); c != nil && c.number != nil {
			w.top = &top[R]{cell: c, descending: r.Top.Descending, rows: int(r.Top.Rows)}
		}
	}
	w.builder = array.NewRecordBuilder(memory.DefaultAllocator, schema)
	return w, nil
}

// keeps tells whether a row passes the filter.
func (f *filter[R]) keeps(row *R) bool {
	var text string
	known := false
	switch {
	case f.cell == nil:
	case f.cell.text != nil:
		text, known = f.cell.text(row)
	case f.cell.number != nil:
		var n uint64
		if n, known = f.cell.number(row); known && !f.null {
			text = strconv.FormatUint(n, 10)
		}
	default:
		return true // the engine filters again
	}
	if f.null {
		return known == f.not
	}
	return known && f.values[text] != f.not
}

// add takes a row; false if no more are wanted.
func (w *writer[R]) add(row *R) (more bool, err error) {
	for i := range w.filters {
		if !w.filters[i].keeps(row) {
			return true, nil
		}
	}
	if w.top != nil && !w.top.keeps(row) {
		return true, nil
	}
	for i, c := range w.cells {
		w.append(w.builder.Field(i), c, row)
	}
	w.rows++
	w.left--
	if w.rows >= w.target || w.bytes >= batchBytesMax {
		if err := w.flush(); err != nil {
			return false, err
		}
	}
	return w.left > 0, nil
}

func (w *writer[R]) append(b array.Builder, c *cell[R], row *R) {
	ok := false
	switch {
	case c == nil:
	case c.text != nil:
		var v string
		if v, ok = c.text(row); ok {
			w.bytes += len(v)
			appendText(b, v)
		}
	case c.bytes != nil:
		var v []byte
		if v, ok = c.bytes(row); ok {
			w.bytes += len(v)
			b.(*array.BinaryBuilder).Append(v)
		}
	case c.number != nil:
		var v uint64
		if v, ok = c.number(row); ok {
			appendNumber(b, v)
		}
	case c.uints != nil:
		var v []uint32
		if v, ok = c.uints(row); ok {
			l := b.(*array.ListBuilder)
			l.Append(true)
			l.ValueBuilder().(*array.Uint32Builder).AppendValues(v, nil)
		}
	case c.texts != nil:
		var v []string
		if v, ok = c.texts(row); ok {
			l := b.(*array.ListBuilder)
			l.Append(true)
			for _, item := range v {
				appendText(l.ValueBuilder(), item)
			}
		}
	}
	if !ok {
		b.AppendNull()
	}
}

func appendText(b array.Builder, v string) {
	if large, ok := b.(*array.LargeStringBuilder); ok {
		large.Append(v)
		return
	}
	b.(*array.StringBuilder).Append(v)
}

func appendNumber(b array.Builder, v uint64) {
	switch b := b.(type) {
	case *array.Uint64Builder:
		b.Append(v)
	case *array.Uint32Builder:
		b.Append(uint32(v))
	case *array.BooleanBuilder:
		b.Append(v != 0)
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v))
	case *array.DurationBuilder:
		b.Append(arrow.Duration(v))
	}
}

// flush emits what was gathered.
func (w *writer[R]) flush() (err error) {
	if w.rows == 0 {
		return nil
	}
	var record arrow.RecordBatch
	if len(w.cells) == 0 { // nobody wants to know more than how many there are
		record = array.NewRecordBatch(w.schema, nil, int64(w.rows))
	} else {
		record = w.builder.NewRecordBatch()
	}
	defer record.Release()
	var out bytes.Buffer
	enc := ipc.NewWriter(&out, ipc.WithSchema(w.schema))
	if err := enc.Write(record); err != nil {
		return fmt.Errorf("encode a batch: %w", err)
	}
	if err := enc.Close(); err != nil {
		return fmt.Errorf("encode a batch: %w", err)
	}
	b := scan.Batch{Rows: w.rows, Data: out.Bytes()}
	w.rows, w.bytes = 0, 0
	w.target = min(2*w.target, batchRowsMax)
	return w.emit(b)
}

// release gives the memory of the writer back.
func (w *writer[R]) release() { w.builder.Release() }

// Ways to write cells.

func textOf[R any](name string, f func(*R) string) cell[R] {
	return cell[R]{name: name, text: func(r *R) (string, bool) { return f(r), true }}
}

// textOr is NULL where the text is empty.
func textOr[R any](name string, f func(*R) string) cell[R] {
	return cell[R]{name: name, text: func(r *R) (string, bool) {
		v := f(r)
		return v, v != ""
	}}
}

func numberOf[R any](name string, f func(*R) uint64) cell[R] {
	return cell[R]{name: name, number: func(r *R) (uint64, bool) { return f(r), true }}
}

// millisOr is NULL where the time or duration is 0.
func millisOr[R any](name string, f func(*R) int64) cell[R] {
	return cell[R]{name: name, number: func(r *R) (uint64, bool) {
		v := f(r)
		return uint64(v), v != 0
	}}
}

func flagOf[R any](name string, f func(*R) bool) cell[R] {
	return cell[R]{name: name, number: func(r *R) (uint64, bool) {
		if f(r) {
			return 1, true
		}
		return 0, true
	}}
}
