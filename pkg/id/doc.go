// Package id is how things are named: invocations, deployments, partitions, nodes, loglets.
//
// The text forms are those of the contract: a prefix, an underscore, the version digit 1, then a body
// of fixed width. Bodies are base62 over digits, lower, upper; the number written is the little-endian
// value of the raw bytes, so texts do not sort by time. Only awakeable ids are base64url.
//
// A partition key is an XXH3 hash; the partition of a key is the high word of key * partitions.
package id
