package pipe_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"reprise/pkg/query/pipe"
)

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	w := pipe.NewWriter(&b)
	large := bytes.Repeat([]byte("x"), 5<<20)
	for _, payload := range [][]byte{nil, []byte("a"), large, []byte("b")} {
		if err := w.Write(pipe.Batch, 7, payload); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteJSON(pipe.Failed, 0, pipe.Failuref(400, "no %d", 1)); err != nil {
		t.Fatal(err)
	}
	r := pipe.NewReader(&b)
	for _, want := range []string{"", "a", string(large), "b"} {
		f, err := r.Next()
		if err != nil || f.Kind != pipe.Batch || f.Scan != 7 || string(f.Payload) != want {
			t.Fatalf("frame of %d bytes: %v", len(f.Payload), err)
		}
	}
	f, err := r.Next()
	var failed pipe.Failure
	if err != nil || f.Decode(&failed) != nil || failed.Status != 400 || failed.Error() != "no 1" {
		t.Errorf("%+v: %v", failed, err)
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	for text, want := range map[string]string{
		"\x03\x00\x00\x00\x00\xff\xff\xff\xff":   "frame of 4294967295 bytes",
		"\x03\x00\x00\x00\x00\x05\x00\x00\x00ab": "frame is cut",
		"\x03\x00":                               "unexpected EOF",
	} {
		if _, err := pipe.NewReader(strings.NewReader(text)).Next(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
