package command

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// stream is an answer of int64 or float64 batches.
func stream(t *testing.T, batches ...any) []byte {
	t.Helper()
	var kind arrow.DataType = arrow.PrimitiveTypes.Int64
	for _, b := range batches {
		if _, ok := b.([]float64); ok {
			kind = arrow.PrimitiveTypes.Float64
		}
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: kind}}, nil)
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, values := range batches {
		switch v := values.(type) {
		case []int64:
			b.Field(0).(*array.Int64Builder).AppendValues(v, nil)
		case []float64:
			b.Field(0).(*array.Float64Builder).AppendValues(v, nil)
		}
		batch := b.NewRecordBatch()
		if err := w.Write(batch); err != nil {
			t.Fatal(err)
		}
		batch.Release()
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCount(t *testing.T) {
	whole := stream(t, []int64{42})
	for _, row := range []struct {
		name string
		body []byte
		want int64
		err  string
	}{
		{"one", whole, 42, ""},
		{"no batch", stream(t), 0, ""},
		{"an empty batch, then one", stream(t, []int64{}, []int64{7}), 7, ""},
		{"more rows", stream(t, []int64{1, 2}, []int64{3}), 1, ""},
		{"not an integer", stream(t, []float64{1.5}), 0, "not int64"},
		{"cut off", whole[:len(whole)-40], 0, "rows of"},
		{"nothing", nil, 0, "rows of"},
		{"no Arrow", []byte(`{"rows":[]}`), 0, "rows of"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Accept") == "application/json" || r.Method != http.MethodPost || r.URL.Path != "/query" {
					t.Errorf("%s %s for %s", r.Method, r.URL, r.Header.Get("Accept"))
				}
				_, _ = w.Write(row.body)
			}))
			defer s.Close()
			c := newClient(settings{Admin: s.URL}, connection{connect: time.Second, request: 10 * time.Second, trace: func(string) {}})
			n, err := c.count(t.Context(), "SELECT COUNT(1)")
			if n != row.want || (err == nil) != (row.err == "") || err != nil && !strings.Contains(err.Error(), row.err) {
				t.Errorf("%d, %v, want %d, %q", n, err, row.want, row.err)
			}
		})
	}
}

func TestQuote(t *testing.T) {
	if got, want := quoteAll([]string{"a", "it's", ""}), "'a', 'it''s', ''"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain ä": "plain ä", "a\nb\tc": "a\nb\tc", "\x1b[2Jx": `\u001b[2Jx`, "\u009bx": `\u009bx`, "\r": `\u000d`,
	} {
		if got := visible(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// A server that says nothing is given up after the time for a request.
func TestRequestTimeout(t *testing.T) {
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer s.Close()
	defer close(hang)
	c := newClient(settings{Admin: s.URL}, connection{connect: time.Second, request: 10 * time.Millisecond, trace: func(string) {}})
	if err := c.get(t.Context(), "/services", nil); err == nil || !strings.Contains(err.Error(), "--request-timeout") {
		t.Errorf("%v", err)
	}
}
