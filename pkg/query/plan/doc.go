// Package plan finds out what a statement reads, and puts it into the words of the engine that runs it.
//
// It works on the syntax tree that DuckDB's json_serialize_sql makes, and knows no SQL text:
//
//	p, err := planner.Plan(tree)
//	// p.Tree goes to json_deserialize_sql; each of p.Scans is a view that the statement reads once
//
// Every reference to a table becomes a scan of its own, with the columns that the statement can mean and the conjuncts
// that say of a column what it is. Both are guesses on the safe side: too many columns, too few filters. The engine
// filters again.
package plan
