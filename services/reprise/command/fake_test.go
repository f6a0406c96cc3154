package command_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// answer is what the server says instead of what it would say.
type answer struct {
	status int
	body   string
}

// rowSet answers each statement that contains a text.
type rowSet struct {
	part    string
	columns []string
	rows    []map[string]any
}

// parseRows reads a part of a statement in the first line and rows below it, each a JSON object;
// the first has all columns in their order.
func parseRows(t *testing.T, text string) rowSet {
	t.Helper()
	part, rest, _ := strings.Cut(text, "\n")
	s := rowSet{part: strings.TrimSpace(part)}
	for line := range strings.Lines(rest) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		row := map[string]any{}
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&row); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if s.columns == nil {
			s.columns = keysOf(t, line)
		}
		s.rows = append(s.rows, row)
	}
	return s
}

// keysOf returns the keys of a flat object in their order.
func keysOf(t *testing.T, object string) []string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(object))
	var keys []string
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key.(string))
	}
	return keys
}

// json is what the server answers for Accept: application/json: no columns that are null.
func (s rowSet) json(t *testing.T) string {
	t.Helper()
	rows := []map[string]any{}
	for _, row := range s.rows {
		out := map[string]any{}
		for k, v := range row {
			if v != nil {
				out[k] = v
			}
		}
		rows = append(rows, out)
	}
	b, err := json.Marshal(map[string]any{"rows": rows})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// arrow is the stream of one batch: numbers are int64, texts large strings.
func (s rowSet) arrow(t *testing.T) []byte {
	t.Helper()
	fields := make([]arrow.Field, len(s.columns))
	for i, name := range s.columns {
		fields[i] = arrow.Field{Name: name, Type: s.typeOf(name), Nullable: true}
	}
	schema := arrow.NewSchema(fields, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, row := range s.rows {
		for i, name := range s.columns {
			appendValue(t, b.Field(i), row[name])
		}
	}
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if len(s.rows) > 0 {
		batch := b.NewRecordBatch()
		defer batch.Release()
		if err := w.Write(batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func (s rowSet) typeOf(column string) arrow.DataType {
	for _, row := range s.rows {
		switch row[column].(type) {
		case json.Number:
			return arrow.PrimitiveTypes.Int64
		case bool:
			return arrow.FixedWidthTypes.Boolean
		case string:
			return arrow.BinaryTypes.LargeString
		}
	}
	return arrow.BinaryTypes.LargeString
}

func appendValue(t *testing.T, b array.Builder, v any) {
	t.Helper()
	switch v := v.(type) {
	case nil:
		b.AppendNull()
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			t.Fatal(err)
		}
		b.(*array.Int64Builder).Append(n)
	case bool:
		b.(*array.BooleanBuilder).Append(v)
	case string:
		b.(*array.LargeStringBuilder).Append(v)
	default:
		t.Fatalf("no column for %T", v)
	}
}

// serve answers as a script said, else as the real server does.
func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Error(err)
	}
	line := strings.TrimSpace(r.Method + " " + r.URL.String() + " " + r.Header.Get("Authorization"))
	if len(body) > 0 {
		line += "\n  " + string(body)
	}
	w.mu.Lock()
	defer w.mu.Unlock() // one at a time: a script reads one after the other
	w.seen = append(w.seen, line)
	path := strings.TrimPrefix(r.URL.String(), "/v4")
	if a, ok := w.answers[r.Method+" "+path]; ok {
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(a.status)
		_, _ = io.WriteString(rw, a.body)
		return
	}
	if path == "/query" && w.answerQuery(rw, r, body) {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	w.real.ServeHTTP(rw, r)
}

// answerQuery answers with the last rows that a script gave for the statement.
func (w *world) answerQuery(rw http.ResponseWriter, r *http.Request, body []byte) bool {
	var q struct {
		Query string `json:"query"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		w.t.Errorf("%s: %v", body, err)
	}
	for i := len(w.rows) - 1; i >= 0; i-- {
		s := w.rows[i]
		if !strings.Contains(q.Query, s.part) {
			continue
		}
		if r.Header.Get("Accept") == "application/json" {
			rw.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(rw, s.json(w.t))
			return true
		}
		rw.Header().Set("Content-Type", "application/vnd.apache.arrow.stream")
		_, _ = rw.Write(s.arrow(w.t))
		return true
	}
	return false
}

// words splits a line as a shell does, as far as a script needs it: quotes keep spaces.
func words(t *testing.T, line string) []string {
	t.Helper()
	var out []string
	var word strings.Builder
	started, quote := false, rune(0)
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, started = c, true
		case quote == 0 && (c == ' ' || c == '\n'):
			if started {
				out = append(out, word.String())
			}
			word.Reset()
			started = false
		default:
			word.WriteRune(c)
			started = true
		}
	}
	if quote != 0 {
		t.Fatalf("unclosed quote in %s", line)
	}
	if started {
		out = append(out, word.String())
	}
	return out
}

// parseAnswer reads `answer <METHOD> <path> status=N` with a body below.
func parseAnswer(t *testing.T, args []string, status int, body string) (string, answer) {
	t.Helper()
	if len(args) != 2 {
		t.Fatalf("answer METHOD PATH, not %q", args)
	}
	return fmt.Sprintf("%s %s", args[0], args[1]), answer{status, body}
}
