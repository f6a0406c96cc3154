package postgres

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/jackc/pgx/v5/pgtype"
	wire "github.com/jeroenrinzema/psql-wire"

	"reprise/pkg/query/table"
)

// typeOf is the type that values of an Arrow type are sent as.
func typeOf(t arrow.DataType) *table.PostgresType {
	name := "text"
	switch t := t.(type) {
	case *arrow.BooleanType:
		name = "bool"
	case *arrow.Int64Type, *arrow.Int32Type, *arrow.Int16Type, *arrow.Int8Type, *arrow.Uint32Type, *arrow.Uint16Type, *arrow.Uint8Type:
		name = "int8"
	case *arrow.Uint64Type, *arrow.Decimal128Type:
		name = "numeric"
	case *arrow.Float64Type, *arrow.Float32Type:
		name = "float8"
	case *arrow.BinaryType, *arrow.LargeBinaryType:
		name = "bytea"
	case *arrow.TimestampType:
		name = "timestamp"
		if t.TimeZone != "" {
			name = "timestamptz"
		}
	case *arrow.Date32Type:
		name = "date"
	case *arrow.DurationType:
		name = "interval"
	case *arrow.ListType, *arrow.LargeListType:
		name = "_text"
		if list, ok := t.(arrow.ListLikeType); ok && typeOf(list.Elem()).Name != "text" {
			name = "_int8"
		}
	}
	return table.PostgresTypeOf(name)
}

// value is what is encoded for a cell: nil for NULL.
func value(column arrow.Array, i int, oid uint32) (any, error) {
	if column.IsNull(i) {
		return nil, nil
	}
	if oid == table.PostgresTypeOf("text").OID { // also where nobody knew, before it was run, what it would be
		return column.ValueStr(i), nil
	}
	switch c := column.(type) {
	case *array.Boolean:
		return c.Value(i), nil
	case *array.Float64:
		return c.Value(i), nil
	case *array.Float32:
		return float64(c.Value(i)), nil
	case *array.LargeBinary:
		return c.Value(i), nil
	case *array.Binary:
		return c.Value(i), nil
	case *array.Timestamp:
		t, ok := c.DataType().(*arrow.TimestampType)
		if !ok {
			return nil, fmt.Errorf("a time of type %s", c.DataType())
		}
		return c.Value(i).ToTime(t.Unit), nil
	case *array.Date32:
		return c.Value(i).ToTime(), nil
	case *array.Duration:
		return pgtype.Interval{Microseconds: int64(c.Value(i)) * 1000, Valid: true}, nil
	case array.ListLike:
		return listOf(c, i, oid)
	case *array.Decimal128:
		t, ok := c.DataType().(*arrow.Decimal128Type)
		if !ok {
			return nil, fmt.Errorf("a number of type %s", c.DataType())
		}
		return pgtype.Numeric{Int: c.Value(i).BigInt(), Exp: -t.Scale, Valid: true}, nil
	default:
		if v, ok := integer(column, i); ok {
			return whole(v, oid)
		}
		return column.ValueStr(i), nil
	}
}

// integer is the value of any column of whole numbers.
func integer(column arrow.Array, i int) (*big.Int, bool) {
	switch c := column.(type) {
	case *array.Uint64:
		return new(big.Int).SetUint64(c.Value(i)), true
	case *array.Int64:
		return big.NewInt(c.Value(i)), true
	case *array.Int32:
		return big.NewInt(int64(c.Value(i))), true
	case *array.Int16:
		return big.NewInt(int64(c.Value(i))), true
	case *array.Int8:
		return big.NewInt(int64(c.Value(i))), true
	case *array.Uint32:
		return big.NewInt(int64(c.Value(i))), true
	case *array.Uint16:
		return big.NewInt(int64(c.Value(i))), true
	case *array.Uint8:
		return big.NewInt(int64(c.Value(i))), true
	default:
		return nil, false
	}
}

// whole is a whole number in the type that was promised.
func whole(v *big.Int, oid uint32) (any, error) {
	switch table.PostgresTypeOf("numeric").OID {
	case oid:
		return pgtype.Numeric{Int: v, Valid: true}, nil
	default:
		if !v.IsInt64() {
			return nil, fmt.Errorf("%s does not fit into int8", v)
		}
		if oid == table.PostgresTypeOf("float8").OID {
			return float64(v.Int64()), nil
		}
		return v.Int64(), nil
	}
}

func listOf(c array.ListLike, i int, oid uint32) (any, error) {
	from, until := c.ValueOffsets(i)
	values := c.ListValues()
	if oid == table.PostgresTypeOf("_int8").OID {
		out := make([]*int64, 0, until-from)
		for j := int(from); j < int(until); j++ {
			v, ok := integer(values, j)
			if values.IsNull(j) || !ok || !v.IsInt64() {
				out = append(out, nil)
				continue
			}
			n := v.Int64()
			out = append(out, &n)
		}
		return out, nil
	}
	out := make([]*string, 0, until-from)
	for j := int(from); j < int(until); j++ {
		if values.IsNull(j) {
			out = append(out, nil)
			continue
		}
		text := values.ValueStr(j)
		out = append(out, &text)
	}
	return out, nil
}

// constant is a parameter as it is written in a statement. A client that did not say of which type it is meant what
// it was told that the statement takes.
func constant(p wire.Parameter, oid uint32) (string, error) {
	if p.Value() == nil {
		return "NULL", nil
	}
	if p.Format() == wire.TextFormat {
		return textConstant(string(p.Value()), oid)
	}
	v, err := p.Scan(oid)
	if err != nil {
		return "", fmt.Errorf("a parameter of type %d: %w", oid, err)
	}
	switch v := v.(type) {
	case string:
		return quote(v), nil
	case bool:
		return strconv.FormatBool(v), nil
	case int16, int32, int64, uint32:
		return fmt.Sprint(v), nil
	case float32:
		return floatConstant(float64(v))
	case float64:
		return floatConstant(v)
	case time.Time:
		return "TIMESTAMPTZ " + quote(v.UTC().Format("2006-01-02 15:04:05.999999Z07:00")), nil
	case []byte:
		return fmt.Sprintf("from_hex('%X')", v), nil
	case pgtype.Numeric:
		text, err := v.MarshalJSON()
		return string(text), err
	default:
		return "", fmt.Errorf("a parameter of type %d is not understood", oid)
	}
}

func floatConstant(v float64) (string, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "", fmt.Errorf("%v is no parameter", v)
	}
	return "CAST(" + strconv.FormatFloat(v, 'g', -1, 64) + " AS DOUBLE)", nil
}

// textConstant is a parameter that came as text. A number is written as one, so that it may stand after LIMIT.
func textConstant(text string, oid uint32) (string, error) {
	switch table.PostgresTypeByOID(oid).Name {
	case "int8", "int4", "numeric", "oid":
		if v, ok := new(big.Rat).SetString(text); ok && v.IsInt() {
			return v.Num().String(), nil
		}
		return "CAST(" + quote(text) + " AS DOUBLE)", nil
	case "float8":
		return "CAST(" + quote(text) + " AS DOUBLE)", nil
	case "timestamptz":
		return "CAST(" + quote(text) + " AS TIMESTAMPTZ)", nil
	case "bool":
		return "CAST(" + quote(text) + " AS BOOLEAN)", nil
	default:
		return quote(text), nil
	}
}

// zoned writes times with a zone as Postgres does: pgtype writes Z, which some drivers do not read.
type zoned struct{ pgtype.TimestamptzCodec }

// PlanEncode implements pgtype.Codec.
func (z zoned) PlanEncode(m *pgtype.Map, oid uint32, format int16, v any) pgtype.EncodePlan {
	if _, ok := v.(time.Time); ok && format == pgtype.TextFormatCode {
		return zonedText{}
	}
	return z.TimestamptzCodec.PlanEncode(m, oid, format, v)
}

type zonedText struct{}

// Encode implements pgtype.EncodePlan.
func (zonedText) Encode(v any, buf []byte) ([]byte, error) {
	t, ok := v.(time.Time)
	if !ok {
		return nil, fmt.Errorf("%T is no time", v)
	}
	return t.UTC().AppendFormat(buf, "2006-01-02 15:04:05.999999+00"), nil
}

func extendTypes(m *pgtype.Map) {
	m.RegisterType(&pgtype.Type{Name: "timestamptz", OID: table.PostgresTypeOf("timestamptz").OID, Codec: zoned{}})
}
