package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
)

type statement struct {
	Query string `json:"query"`
}

// query decodes the rows of a statement into rows, a pointer to a slice of structs or maps. Columns that are null are missing.
func (c *client) query(ctx context.Context, sql string, rows any) error {
	var got struct {
		Rows json.RawMessage `json:"rows"`
	}
	if err := c.call(ctx, http.MethodPost, "/query", statement{sql}, &got); err != nil {
		return err
	}
	if err := json.Unmarshal(got.Rows, rows); err != nil {
		return fmt.Errorf("rows of %s/query: %w", c.base, err)
	}
	return nil
}

// scan gives the rows of a statement to each, batch by batch as they arrive. A batch is borrowed until each returns.
// Of a statement without rows it returns the schema all the same.
func (c *client) scan(ctx context.Context, sql string, each func(arrow.RecordBatch) error) (_ *arrow.Schema, err error) {
	resp, err := c.do(ctx, http.MethodPost, "/query", statement{sql}, "*/*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // read whole, or of no more use
	in, err := ipc.NewReader(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("rows of %s/query: %w", c.base, err)
	}
	defer in.Release()
	for in.Next() {
		if err := each(in.RecordBatch()); err != nil {
			return nil, err
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("rows of %s/query: %w", c.base, err)
	}
	return in.Schema(), nil
}

// count runs a statement such as SELECT COUNT(1). No row counts as 0.
func (c *client) count(ctx context.Context, sql string) (n int64, err error) {
	seen := false
	_, err = c.scan(ctx, sql, func(b arrow.RecordBatch) error {
		if seen || b.NumRows() == 0 {
			return nil
		}
		seen = true
		if b.NumCols() == 0 {
			return errors.New("a count has no column")
		}
		col, ok := b.Column(0).(*array.Int64)
		if !ok {
			return fmt.Errorf("a count is %s, not int64", b.Column(0).DataType())
		}
		n = col.Value(0)
		return nil
	})
	return n, err
}

// quote writes a text as a literal of SQL.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// quoteAll writes texts as a list of literals for IN.
func quoteAll(texts []string) string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = quote(t)
	}
	return strings.Join(out, ", ")
}
