//go:build duckdb_arrow && cgo && !linux

package duck

// limit has no means here beside DuckDB's own.
func limit(int64) error { return nil }
