//go:build !duckdb_arrow || !cgo

package duck

import (
	"fmt"
	"io"
)

// Available tells whether this binary can answer SQL.
const Available = false

// Main says that this binary cannot answer SQL.
func Main(_ io.ReadCloser, out io.Writer) int {
	_, _ = fmt.Fprintln(out, "this binary was built without SQL (build tag duckdb_arrow, cgo)")
	return 1
}
