// Package query answers SQL over what the cluster holds.
//
// An Engine runs each statement in a query process (package duck), which it starts on demand, feeds with scans and
// kills when it is in the way. The process tells what it wants of which table (package plan); the rows come from the
// leaders of partitions (package table) as Arrow batches, which pass through this process unread:
//
//	client <─ JSON or Arrow ─ Handler ── Engine <─ pipe ─> query process
//	                                       └─ scan ─> leaders of partitions, registry
//
//	rows, err := engine.Query(ctx, "SELECT count(*) FROM sys_invocation")
//
// Memory: at most two batches of a scan, and one of the result, are here at a time.
package query
