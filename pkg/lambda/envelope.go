package lambda

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Request is a request to an endpoint.
type Request struct {
	Method  string
	Path    string // without a query
	Headers []Header
	Body    []byte
}

// Header is a header field. Names are lower case.
type Header struct{ Name, Value string }

// Response is what the endpoint answered. Names of headers are lower case.
type Response struct {
	Status  int
	Headers []Header
	Body    []byte
}

// Get returns the first field of a name.
func (r *Response) Get(name string) string {
	for _, h := range r.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// event is what a function gets.
type event struct {
	Path    string            `json:"path"`
	Method  string            `json:"httpMethod"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"` // in base64
	Base64  bool              `json:"isBase64Encoded"`
}

// answer is what a function gives.
type answer struct {
	Status  int               `json:"statusCode"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Base64  bool              `json:"isBase64Encoded"`
}

const (
	headerEncoding = "content-encoding"
	encodingZstd   = "zstd"
)

// codec compresses, and takes apart what functions answer. It is safe for concurrent use.
type codec struct {
	compressBytesMin int
	bodyBytesMax     int
	enc              *zstd.Encoder
	dec              *zstd.Decoder
}

func newCodec(cfg Config) (*codec, error) {
	// Encoder and decoder are used for whole buffers: they start no goroutine.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(3)), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(uint64(cfg.ResponseBytesMax)), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return &codec{compressBytesMin: cfg.CompressBytesMin, bodyBytesMax: cfg.ResponseBytesMax, enc: enc, dec: dec}, nil
}

// encode makes the payload of an Invoke. q.Body is borrowed.
func (c *codec) encode(q Request, compressed bool) ([]byte, error) {
	e := event{Path: q.Path, Method: q.Method, Headers: make(map[string]string, len(q.Headers)+2), Body: q.Body, Base64: true}
	for _, h := range q.Headers {
		e.Headers[h.Name] = h.Value
	}
	if compressed {
		e.Headers["accept-encoding"] = encodingZstd
		if len(q.Body) > 0 && len(q.Body) >= c.compressBytesMin {
			e.Headers[headerEncoding] = encodingZstd
			e.Body = c.enc.EncodeAll(q.Body, nil)
		}
	}
	if e.Body == nil {
		e.Body = []byte{} // "", not null
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	return payload, nil
}

// decode reads the payload that a function returned.
func (c *codec) decode(payload []byte) (Response, error) {
	var a answer
	if err := json.Unmarshal(payload, &a); err != nil {
		return Response{}, refuse("the function's answer is not in the envelope of an endpoint: %s", err)
	}
	if a.Status < 100 || a.Status > 999 {
		return Response{}, refuse("the function's answer has the status %d", a.Status)
	}
	r := Response{Status: a.Status, Body: []byte(a.Body)}
	for name, value := range a.Headers {
		r.Headers = append(r.Headers, Header{strings.ToLower(name), value})
	}
	slices.SortFunc(r.Headers, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	var err error
	if a.Base64 {
		if r.Body, err = base64.StdEncoding.DecodeString(a.Body); err != nil {
			return Response{}, refuse("the body of the function's answer: %s", err)
		}
	}
	switch encoding := r.Get(headerEncoding); encoding {
	case "", "identity":
	case encodingZstd:
		if r.Body, err = c.dec.DecodeAll(r.Body, nil); err != nil {
			return Response{}, refuse("the compressed body of the function's answer: %s", err)
		}
	default:
		return Response{}, refuse("the body of the function's answer has the encoding %q", encoding)
	}
	if len(r.Body) > c.bodyBytesMax {
		return Response{}, refuse("the body of the function's answer has %d bytes, %d are allowed", len(r.Body), c.bodyBytesMax)
	}
	return r, nil
}
