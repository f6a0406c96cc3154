// Package table is the catalog of SQL introspection: which tables there are, and how rows of a partition become theirs.
//
// columns.tsv is the contract: tables, columns in their order, types. A Scanner turns the rows of partitions that are
// led here into Arrow batches with the columns that a Request wants:
//
//	scanner := table.NewScanner(catalog, reader, slots)
//	err := scanner.Scan(ctx, partition, &request, func(b table.Batch) error { ... })
//
// A new source of rows is a file here with a tableSource, and a line in sources. Tables without one are empty.
package table
