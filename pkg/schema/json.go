package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// object is a JSON object whose properties are taken one by one. What is left at the end is unknown.
// The standard decoder would not do: it matches names whatever their case.
type object struct {
	path  string // in the manifest, for messages
	props map[string]json.RawMessage
	err   error // the first fault
}

func newObject(path string, raw json.RawMessage) *object {
	o := &object{path: path}
	if err := json.Unmarshal(raw, &o.props); err != nil || o.props == nil {
		o.fail("", "is not an object")
	}
	return o
}

func (o *object) fail(name, format string, args ...any) {
	if o.err == nil {
		o.err = fmt.Errorf("%s %s", strings.Trim(o.path+"."+name, "."), fmt.Sprintf(format, args...))
	}
}

// take removes a property; null counts as absent.
func (o *object) take(name string) (raw json.RawMessage, ok bool) {
	raw, ok = o.props[name]
	delete(o.props, name)
	return raw, ok && !bytes.Equal(raw, []byte("null"))
}

// end returns the first fault, which may be a property that nobody took.
func (o *object) end() error {
	if o.err == nil && len(o.props) > 0 {
		first := ""
		for name := range o.props {
			if first == "" || name < first {
				first = name
			}
		}
		o.fail(first, "is unknown")
	}
	return o.err
}

func (o *object) text(name string) *string {
	raw, ok := o.take(name)
	if !ok {
		return nil
	}
	var v string
	if json.Unmarshal(raw, &v) != nil {
		o.fail(name, "is not a string")
	}
	return &v
}

func (o *object) boolean(name string) *bool {
	raw, ok := o.take(name)
	if !ok {
		return nil
	}
	var v bool
	if json.Unmarshal(raw, &v) != nil {
		o.fail(name, "is not true or false")
	}
	return &v
}

// integer takes a whole number from low to high, without fraction and exponent.
func (o *object) integer(name string, low, high uint64) *uint64 {
	raw, ok := o.take(name)
	if !ok {
		return nil
	}
	v, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil || v < low || v > high {
		o.fail(name, "is not an integer from %d to %d", low, high)
	}
	return &v
}

const maxMillis = 1<<63 - 1

func (o *object) millis(name string) *int64 {
	v := o.integer(name, 0, maxMillis)
	if v == nil {
		return nil
	}
	millis := int64(*v)
	return &millis
}

func (o *object) number(name string) *float64 {
	raw, ok := o.take(name)
	if !ok {
		return nil
	}
	var v float64
	if json.Unmarshal(raw, &v) != nil {
		o.fail(name, "is not a number")
	}
	return &v
}

// required tells whether a property is there, and complains if not.
func (o *object) required(name string, there bool) bool {
	if !there {
		o.fail(name, "is missing")
	}
	return there
}

// list takes an array.
func (o *object) list(name string) (items []json.RawMessage) {
	raw, ok := o.take(name)
	if o.required(name, ok) && json.Unmarshal(raw, &items) != nil {
		o.fail(name, "is not an array")
	}
	return items
}

// texts takes an object of strings.
func (o *object) texts(name string) (m map[string]string) {
	raw, ok := o.take(name)
	if !ok {
		return nil
	}
	var opt map[string]*string
	if json.Unmarshal(raw, &opt) != nil {
		o.fail(name, "is not an object of strings")
	}
	m = make(map[string]string, len(opt))
	for k, v := range opt {
		if v == nil {
			o.fail(name, "is not an object of strings")
			continue
		}
		m[k] = *v
	}
	return m
}

// sub takes an object; nil if it is absent.
func (o *object) sub(name string) *object {
	raw, ok := o.take(name)
	if !ok {
		return nil
	}
	return newObject(o.path+"."+name, raw)
}
