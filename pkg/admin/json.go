package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	adminv1 "reprise/api/admin/v1"
)

// marshaler is the contract's JSON: snake case, plain numbers, absent fields omitted. The gateway's own would
// write 64-bit numbers as strings, names in camel case and fill what is absent.
type marshaler struct{}

var _ runtime.Marshaler = marshaler{}

func (marshaler) ContentType(any) string { return contentTypeJSON }

func (marshaler) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", v)
	}
	r := m.ProtoReflect()
	if !hasContent(r.Descriptor().Fields()) {
		return nil, nil // an answer without content is an empty body
	}
	if f, ok := wholeOf(r.Descriptor().Fields()); ok {
		if f.IsList() {
			return appendField(nil, r, f, adminv1.Json_JSON_UNSPECIFIED)
		}
		return []byte(r.Get(f).String()), nil
	}
	return appendMessage(nil, r)
}

// hasContent tells whether one of the fields may be written.
func hasContent(fields protoreflect.FieldDescriptors) bool {
	for i := range fields.Len() {
		if how, _ := proto.GetExtension(fields.Get(i).Options(), adminv1.E_Json).(adminv1.Json); how != adminv1.Json_JSON_HIDDEN {
			return true
		}
	}
	return false
}

// wholeOf finds the field that stands for its message.
func wholeOf(fields protoreflect.FieldDescriptors) (protoreflect.FieldDescriptor, bool) {
	for i := range fields.Len() {
		if how, _ := proto.GetExtension(fields.Get(i).Options(), adminv1.E_Json).(adminv1.Json); how == adminv1.Json_JSON_WHOLE {
			return fields.Get(i), true
		}
	}
	return nil, false
}

func (marshaler) Unmarshal(data []byte, v any) error {
	if q, ok := v.(*adminv1.ModifyStateRequest); ok {
		return unmarshalState(data, q)
	}
	return json.Unmarshal(data, v)
}

// NewDecoder decodes with encoding/json: the generated structs carry the names as tags, `null` leaves a
// field alone, unknown fields are ignored.
func (m marshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		b, ok := r.(*body)
		if !ok {
			return fmt.Errorf("body %T was not read by the gateway's middleware", r)
		}
		b.err = m.Unmarshal(b.data, v)
		return b.err
	})
}

func (m marshaler) NewEncoder(w io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(v any) error {
		b, err := m.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	})
}

func appendMessage(dst []byte, m protoreflect.Message) ([]byte, error) {
	dst = append(dst, '{')
	fields := m.Descriptor().Fields()
	first := true
	for i := range fields.Len() {
		f := fields.Get(i)
		how, _ := proto.GetExtension(f.Options(), adminv1.E_Json).(adminv1.Json)
		if skips(m, f, how) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendString(dst, string(f.Name()))
		dst = append(dst, ':')
		if f.HasPresence() && !m.Has(f) {
			dst = append(dst, "null"...)
			continue
		}
		var err error
		if dst, err = appendField(dst, m, f, how); err != nil {
			return nil, fmt.Errorf("%s: %w", f.FullName(), err)
		}
	}
	return append(dst, '}'), nil
}

// skips tells whether a field is not written.
func skips(m protoreflect.Message, f protoreflect.FieldDescriptor, how adminv1.Json) bool {
	switch {
	case how == adminv1.Json_JSON_HIDDEN:
		return true
	case f.IsMap():
		return m.Get(f).Map().Len() == 0
	case f.IsList():
		return how == adminv1.Json_JSON_OMIT_EMPTY && m.Get(f).List().Len() == 0
	default:
		return f.HasPresence() && !m.Has(f) && how != adminv1.Json_JSON_NULL_IF_ABSENT
	}
}

func appendField(dst []byte, m protoreflect.Message, f protoreflect.FieldDescriptor, how adminv1.Json) (_ []byte, err error) {
	v := m.Get(f)
	switch {
	case how == adminv1.Json_JSON_RAW:
		return append(dst, v.String()...), nil
	case f.IsMap():
		return appendMap(dst, v.Map(), f.MapValue())
	case f.IsList():
		dst = append(dst, '[')
		for i := range v.List().Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendValue(dst, v.List().Get(i), f); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	default:
		return appendValue(dst, v, f)
	}
}

func appendMap(dst []byte, m protoreflect.Map, value protoreflect.FieldDescriptor) (_ []byte, err error) {
	keys := make([]string, 0, m.Len())
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k.String())
		return true
	})
	slices.Sort(keys)
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, k), ':')
		if dst, err = appendValue(dst, m.Get(protoreflect.ValueOfString(k).MapKey()), value); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendValue(dst []byte, v protoreflect.Value, f protoreflect.FieldDescriptor) ([]byte, error) {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return appendMessage(dst, v.Message())
	case protoreflect.StringKind:
		return appendString(dst, v.String()), nil
	case protoreflect.BoolKind:
		return strconv.AppendBool(dst, v.Bool()), nil
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return strconv.AppendUint(dst, v.Uint(), 10), nil
	case protoreflect.FloatKind:
		return appendFloat(dst, v.Float()), nil
	default:
		return nil, fmt.Errorf("kind %s has no JSON form here", f.Kind())
	}
}

// appendFloat writes whole numbers as 2.0, so that a reader sees that it is no integer.
func appendFloat(dst []byte, f float64) []byte {
	at := len(dst)
	dst = strconv.AppendFloat(dst, f, 'g', -1, 32)
	for _, c := range dst[at:] {
		if c == '.' || c == 'e' {
			return dst
		}
	}
	return append(dst, ".0"...)
}

// appendString writes a JSON string, without the HTML escapes that encoding/json adds by default.
func appendString(dst []byte, s string) []byte {
	if isPlain(s) {
		return append(append(append(dst, '"'), s...), '"')
	}
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string into memory never fails
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}

// isPlain tells whether JSON writes s as it is.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
