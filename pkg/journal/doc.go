// Package journal is the durable, ordered list of entries of an invocation.
//
// A journal row holds the frames of one record as they came, so a step writes one row. What the
// rows imply (length, which completions are there) is an Index, derived from the rows and nothing else.
package journal
