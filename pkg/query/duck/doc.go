// Package duck is the query process: it runs one statement after the other on DuckDB.
//
// It is a process of its own, since what a statement may do to the process that runs it (take its memory, abort it, never
// come back) must cost that statement only. It has no files but its spill folder, no network, and its end is its
// owner's to choose. Main reads and writes what pipe says:
//
//	if len(os.Args) > 1 && os.Args[1] == query.ChildArg {
//		os.Exit(duck.Main(os.Stdin, os.Stdout))
//	}
//
// Only binaries that answer SQL import it: it needs cgo and the build tag duckdb_arrow, and weighs 70 MB. Without
// them Available is false.
//
// DuckDB pushes filters and projections into scans of Arrow streams, and the streams of its C API know nothing of
// that: rows would pass that must not, columns would hold those of their neighbours. So the optimizer that
// takes unused columns away is off, each scan stands behind a LIMIT that no filter passes (plan does that), and a test
// looks at the plan of every statement that clients send.
package duck
