//go:build duckdb_arrow && cgo

package duck

import (
	"math"
	"net/http"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"reprise/pkg/query/pipe"
	"reprise/pkg/query/table"
)

// shape turns the types that DuckDB answers with into those of the contract.
type shape struct {
	schema  *arrow.Schema
	columns []func(arrow.Array) (arrow.Array, error) // nil: as it is
}

// newShape looks at the first batch, if there is one: sums are wider than the contract's, and what fits is decided by it.
func newShape(of *arrow.Schema, first arrow.RecordBatch) *shape {
	s := &shape{}
	fields := make([]arrow.Field, of.NumFields())
	for i, f := range of.Fields() {
		var column arrow.Array
		if first != nil {
			column = first.Column(i)
		}
		to, convert := conversion(f.Type, column)
		fields[i] = arrow.Field{Name: f.Name, Type: to, Nullable: true}
		s.columns = append(s.columns, convert)
	}
	s.schema = arrow.NewSchema(fields, nil)
	return s
}

func (s *shape) of(batch arrow.RecordBatch) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, len(s.columns))
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, convert := range s.columns {
		c := batch.Column(i)
		if convert == nil {
			c.Retain()
			columns[i] = c
			continue
		}
		var err error
		if columns[i], err = convert(c); err != nil {
			return nil, err
		}
	}
	return array.NewRecordBatch(s.schema, columns, batch.NumRows()), nil
}

func conversion(t arrow.DataType, first arrow.Array) (arrow.DataType, func(arrow.Array) (arrow.Array, error)) {
	switch t := t.(type) {
	case *arrow.TimestampType:
		if t.TimeZone == "" {
			return t, nil
		}
		to := table.Time.Arrow()
		return to, func(a arrow.Array) (arrow.Array, error) {
			in, ok := a.(*array.Timestamp)
			return each(to, a, ok, func(b array.Builder, i int) error {
				b.(*array.TimestampBuilder).Append(arrow.Timestamp(floorDiv(int64(in.Value(i)), 1000)))
				return nil
			})
		}
	case *arrow.MonthDayNanoIntervalType:
		return duration()
	case *arrow.Decimal128Type:
		if t.Scale > 0 {
			to := arrow.PrimitiveTypes.Float64
			return to, func(a arrow.Array) (arrow.Array, error) {
				in, ok := a.(*array.Decimal128)
				return each(to, a, ok, func(b array.Builder, i int) error {
					b.(*array.Float64Builder).Append(in.Value(i).ToFloat64(t.Scale))
					return nil
				})
			}
		}
		return integer(first)
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type:
		return widened()
	case *arrow.LargeListType:
		to := arrow.ListOf(t.Elem())
		return to, func(a arrow.Array) (arrow.Array, error) { return shortList(to, a) }
	default:
		return t, nil
	}
}

// each builds an array of which value appends one after the other.
func each(to arrow.DataType, a arrow.Array, ok bool, value func(b array.Builder, i int) error) (arrow.Array, error) {
	if !ok {
		return nil, pipe.Failuref(http.StatusInternalServerError, prefix+"Arrow error: unexpected %s", a.DataType())
	}
	b := array.NewBuilder(memory.DefaultAllocator, to)
	defer b.Release()
	b.Reserve(a.Len())
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
		} else if err := value(b, i); err != nil {
			return nil, err
		}
	}
	return b.NewArray(), nil
}

// duration: DuckDB has intervals only, and calls a difference of times one.
func duration() (arrow.DataType, func(arrow.Array) (arrow.Array, error)) {
	const day = 24 * 60 * 60 * 1000
	to := table.Duration.Arrow()
	return to, func(a arrow.Array) (arrow.Array, error) {
		in, ok := a.(*array.MonthDayNanoInterval)
		return each(to, a, ok, func(b array.Builder, i int) error {
			v := in.Value(i)
			millis := v.Nanoseconds/1e6 + day*(int64(v.Days)+30*int64(v.Months))
			b.(*array.DurationBuilder).Append(arrow.Duration(millis))
			return nil
		})
	}
}

func widened() (arrow.DataType, func(arrow.Array) (arrow.Array, error)) {
	to := arrow.PrimitiveTypes.Int64
	return to, func(a arrow.Array) (arrow.Array, error) {
		return each(to, a, true, func(b array.Builder, i int) error {
			out := b.(*array.Int64Builder)
			switch in := a.(type) {
			case *array.Int8:
				out.Append(int64(in.Value(i)))
			case *array.Int16:
				out.Append(int64(in.Value(i)))
			case *array.Int32:
				out.Append(int64(in.Value(i)))
			}
			return nil
		})
	}
}

// integer makes 64 bits of the 128 of a sum: signed, unless the first batch has something larger.
func integer(first arrow.Array) (arrow.DataType, func(arrow.Array) (arrow.Array, error)) {
	unsigned := false
	if in, ok := first.(*array.Decimal128); ok {
		for i := range in.Len() {
			unsigned = unsigned || !in.IsNull(i) && in.Value(i).HighBits() == 0 && in.Value(i).LowBits() > math.MaxInt64
		}
	}
	var to arrow.DataType = arrow.PrimitiveTypes.Int64
	if unsigned {
		to = arrow.PrimitiveTypes.Uint64
	}
	overflow := pipe.Failuref(http.StatusInternalServerError, prefix+"Arrow error: Compute error: an integer does not fit into 64 bits")
	return to, func(a arrow.Array) (arrow.Array, error) {
		in, ok := a.(*array.Decimal128)
		return each(to, a, ok, func(b array.Builder, i int) error {
			high, low := in.Value(i).HighBits(), in.Value(i).LowBits()
			switch b := b.(type) {
			case *array.Uint64Builder:
				if high != 0 {
					return overflow
				}
				b.Append(low)
			case *array.Int64Builder:
				if high != int64(low)>>63 {
					return overflow
				}
				b.Append(int64(low))
			}
			return nil
		})
	}
}

// shortList is a list with 32-bit offsets, over the same values.
func shortList(to *arrow.ListType, a arrow.Array) (arrow.Array, error) {
	in, ok := a.(*array.LargeList)
	if !ok {
		return nil, pipe.Failuref(http.StatusInternalServerError, prefix+"Arrow error: unexpected %s", a.DataType())
	}
	b := array.NewListBuilder(memory.DefaultAllocator, to.Elem())
	defer b.Release()
	values := in.ListValues()
	for i := range in.Len() {
		if in.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(true)
		from, until := in.ValueOffsets(i)
		for j := from; j < until; j++ {
			if err := appendValue(b.ValueBuilder(), values, int(j)); err != nil {
				return nil, err
			}
		}
	}
	return b.NewArray(), nil
}

func appendValue(b array.Builder, values arrow.Array, i int) error {
	if values.IsNull(i) {
		b.AppendNull()
		return nil
	}
	if err := b.AppendValueFromString(values.ValueStr(i)); err != nil {
		return pipe.Failuref(http.StatusInternalServerError, prefix+"Arrow error: %s in a list: %v", values.DataType(), err)
	}
	return nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
