// Package scan is what is asked of those who have rows: a table, columns, filters, a limit.
//
// It is apart from the tables because it crosses processes: whoever only passes requests on needs no Arrow.
package scan
