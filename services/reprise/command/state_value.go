package command

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"reprise/services/internal/jsondoc"
)

// mutation is the request that replaces the state of a key.
type mutation struct {
	Version *string            `json:"version"`
	Key     string             `json:"object_key"`
	State   map[string]numbers `json:"new_state"`
}

// numbers are bytes as the admin API takes them: a list of numbers.
type numbers []byte

// MarshalJSON implements json.Marshaler.
func (n numbers) MarshalJSON() ([]byte, error) {
	b := []byte{'['}
	for i, v := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(v), 10)
	}
	return append(b, ']'), nil
}

// hexBytes are bytes as rows in JSON have them.
type hexBytes []byte

// UnmarshalJSON implements json.Unmarshaler.
func (h *hexBytes) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	raw, err := hex.DecodeString(text)
	*h = raw
	return err
}

// etag is the version of a state, as the server computes it.
func etag(state map[string][]byte) string {
	h := sha256.New()
	for i, name := range slices.Sorted(maps.Keys(state)) {
		var index [8]byte
		binary.BigEndian.PutUint64(index[:], uint64(i))
		h.Write(slices.Concat(index[:], []byte{1}, []byte(name), []byte{2}, state[name], []byte{3}))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// document is a state as people see it: JSON, or bytes in base64.
func document(state map[string][]byte, asBytes bool) (map[string]any, error) {
	doc := make(map[string]any, len(state))
	for _, name := range slices.Sorted(maps.Keys(state)) {
		if asBytes {
			doc[name] = base64.StdEncoding.EncodeToString(state[name])
			continue
		}
		v, err := jsondoc.Parse(state[name])
		if err != nil {
			return nil, hint(fmt.Errorf("the value of %s is no JSON: %w", name, err), "--binary shows the bytes in base64.")
		}
		doc[name] = v
	}
	return doc, nil
}

// values is the state that a document describes. What did not change stays as it is, byte by byte.
func values(doc map[string]any, before map[string][]byte, asBytes bool) (map[string][]byte, error) {
	out := make(map[string][]byte, len(doc))
	for name, v := range doc {
		if !asBytes {
			out[name] = jsondoc.Exact(v)
			if old, err := jsondoc.Parse(before[name]); err == nil && bytes.Equal(jsondoc.Exact(old), out[name]) {
				out[name] = before[name]
			}
			continue
		}
		text, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("the value of %s is no text with bytes in base64", name)
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("the value of %s: %w", name, err)
		}
		out[name] = raw
	}
	return out, nil
}
