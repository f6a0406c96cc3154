package render

import (
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"reprise/pkg/query/pipe"
)

// JSON writes the rows of an Arrow stream as the contract's JSON: an object for each, without what is NULL.
// flush is called after each batch.
func JSON(w io.Writer, rows io.Reader, flush func() error) error {
	in, err := ipc.NewReader(rows)
	if err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	defer in.Release()
	names := namesOf(in.Schema().Fields())
	b := []byte(`{"rows":[`)
	begun := false
	for in.Next() {
		batch := in.RecordBatch()
		for row := range int(batch.NumRows()) {
			if begun {
				b = append(b, ',')
			}
			begun = true
			if b, err = appendRow(b, names, batch, row); err != nil {
				return err
			}
			if len(b) >= jsonChunk {
				if _, err := w.Write(b); err != nil {
					return err
				}
				b = b[:0]
			}
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		b = b[:0]
		if err := flush(); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	// The rows are read, but the statement ends only now: its process is of use again.
	if _, err := io.Copy(io.Discard, rows); err != nil {
		return err
	}
	_, err = w.Write(append(b, "]}"...))
	return err
}

// jsonChunk is about how much JSON is gathered before it is written.
const jsonChunk = 64 << 10

// Row appends a row as a JSON object, without what is NULL.
func Row(b []byte, fields []arrow.Field, batch arrow.RecordBatch, row int) ([]byte, error) {
	return appendRow(b, namesOf(fields), batch, row)
}

// namesOf are the names of columns as JSON, with a colon behind them.
func namesOf(fields []arrow.Field) [][]byte {
	names := make([][]byte, len(fields))
	for i, f := range fields {
		names[i] = append(String(nil, f.Name), ':')
	}
	return names
}

func appendRow(b []byte, names [][]byte, batch arrow.RecordBatch, row int) (_ []byte, err error) {
	b = append(b, '{')
	first := true
	for i, name := range names {
		column := batch.Column(i)
		if column.IsNull(row) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, name...)
		if b, err = Value(b, column, row); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// Value appends a value that is not NULL, as JSON.
func Value(b []byte, column arrow.Array, i int) ([]byte, error) {
	switch c := column.(type) {
	case *array.LargeString:
		return String(b, c.Value(i)), nil
	case *array.String:
		return String(b, c.Value(i)), nil
	case *array.Boolean:
		return strconv.AppendBool(b, c.Value(i)), nil
	case *array.Int64:
		return strconv.AppendInt(b, c.Value(i), 10), nil
	case *array.Int32:
		return strconv.AppendInt(b, int64(c.Value(i)), 10), nil
	case *array.Uint64:
		return strconv.AppendUint(b, c.Value(i), 10), nil
	case *array.Uint32:
		return strconv.AppendUint(b, uint64(c.Value(i)), 10), nil
	case *array.Uint16:
		return strconv.AppendUint(b, uint64(c.Value(i)), 10), nil
	case *array.Uint8:
		return strconv.AppendUint(b, uint64(c.Value(i)), 10), nil
	case *array.Float64:
		return appendFloat(b, c.Value(i), 64), nil
	case *array.Float32:
		return appendFloat(b, float64(c.Value(i)), 32), nil
	case *array.LargeBinary:
		return appendHex(b, c.Value(i)), nil
	case *array.Binary:
		return appendHex(b, c.Value(i)), nil
	case *array.Timestamp:
		return appendTime(b, c, i), nil
	case *array.Date32:
		return append(append(append(b, '"'), c.Value(i).ToTime().Format(time.DateOnly)...), '"'), nil
	case *array.Duration:
		return appendDuration(b, int64(c.Value(i))), nil
	case array.ListLike:
		return appendList(b, c, i)
	case *array.Time64, *array.Decimal128:
		return String(b, c.ValueStr(i)), nil
	default:
		return nil, pipe.Failuref(http.StatusInternalServerError, "Datafusion error: Arrow error: Json error: data type %s not supported in the output", column.DataType())
	}
}

func appendHex(b, v []byte) []byte { return append(hex.AppendEncode(append(b, '"'), v), '"') }

// appendFloat: JSON has neither infinity nor what is no number.
func appendFloat(b []byte, v float64, bits int) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.AppendFloat(b, v, 'f', 1, bits)
	}
	return strconv.AppendFloat(b, v, 'g', -1, bits)
}

// appendTime has milliseconds and Z if the time is of a zone, which is UTC; a time without zone as exact as it is.
func appendTime(b []byte, c *array.Timestamp, i int) []byte {
	t, ok := c.DataType().(*arrow.TimestampType)
	if !ok {
		return append(b, "null"...)
	}
	at := c.Value(i).ToTime(t.Unit)
	format := "2006-01-02T15:04:05.999999999"
	if t.TimeZone != "" {
		format = "2006-01-02T15:04:05.000Z"
		if at.Nanosecond() == 0 {
			format = "2006-01-02T15:04:05Z"
		}
	}
	return append(at.AppendFormat(append(b, '"'), format), '"')
}

// appendDuration is ISO 8601 with seconds only.
func appendDuration(b []byte, millis int64) []byte {
	b = append(b, '"')
	if millis < 0 {
		b, millis = append(b, '-'), -millis
	}
	b = strconv.AppendInt(append(b, "PT"...), millis/1000, 10)
	if rest := millis % 1000; rest != 0 {
		b = append(b, strings.TrimRight(fmt.Sprintf(".%03d", rest), "0")...)
	}
	return append(b, `S"`...)
}

func appendList(b []byte, c array.ListLike, i int) (_ []byte, err error) {
	from, until := c.ValueOffsets(i)
	values := c.ListValues()
	b = append(b, '[')
	for j := int(from); j < int(until); j++ {
		if j > int(from) {
			b = append(b, ',')
		}
		if values.IsNull(j) {
			b = append(b, "null"...)
			continue
		}
		if b, err = Value(b, values, j); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}
