package lambda

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzDecode: whatever a function answers is an error or a bounded response; what is encoded is understood.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"statusCode":200,"headers":null,"body":"plain"}`, `{"statusCode":200,"body":"aGVsbG8=","isBase64Encoded":true}`,
		`{"statusCode":200,"headers":{"Content-Encoding":"zstd"},"body":"KLUv/QQAKQAAaGVsbG8hCKd5","isBase64Encoded":true}`, `[]`, `{"statusCode":"x"}`,
	} {
		f.Add([]byte(s))
	}
	cfg := Default()
	cfg.ResponseBytesMax, cfg.CompressBytesMin = 1<<16, 10
	c, err := newCodec(cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := c.decode(b); err == nil && (len(r.Body) > cfg.ResponseBytesMax || r.Status < 100 || r.Status > 999) {
			t.Fatalf("status %d, %d bytes", r.Status, len(r.Body))
		}
		payload, err := c.encode(Request{Method: "POST", Path: "/p", Headers: []Header{{"a", string(b)}}, Body: b}, true)
		if err != nil {
			t.Fatal(err)
		}
		var e event
		if err := json.Unmarshal(payload, &e); err != nil {
			t.Fatal(err)
		}
		if e.Headers[headerEncoding] != "" {
			if e.Body, err = c.dec.DecodeAll(e.Body, nil); err != nil {
				return // larger than what a response may be
			}
		}
		if !bytes.Equal(e.Body, b) {
			t.Fatalf("%x became %x", b, e.Body)
		}
		if CheckARN(string(b)) == nil && (Function{ARN: string(b)}).region() == "" {
			t.Fatalf("%q has no region", b)
		}
	})
}
