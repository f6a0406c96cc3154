// Package logstore keeps the records of a log-server in Pebble.
//
// Its unit is the group: consecutive records of one loglet that were stored together. One key per
// group, not per record. Groups of a loglet never overlap; the log-server cuts what it has already.
// A Batch collects what is to be written and Commit makes it durable with one sync; a Reader reads.
// What is written and not yet synced is visible to a Reader: hiding it is the log-server's work.
//
// # Key map (format 1)
//
// Integers in keys are fixed-width big endian, so byte order is numeric order; in values little endian.
//
//	kind  rest of the key         value                                           read by
//	0x01  -                       node:u32 fingerprint:u64 createdMillis:u64      start (marker)
//	0x10  loglet:u64              nonce:u64 node:u32 generation:u32               load (identity)
//	0x11  loglet:u64              empty                                           load (sealed)
//	0x12  loglet:u64              through:u32                                     load (trim point)
//	0x13  loglet:u64              known:u32                                       load (known global tail)
//	0x20  loglet:u64 first:u32    version:u8 count:u32, then the records          load (tail), reads
//
// The folder holds the file FORMAT, "reprise log-store 1", which is checked before Pebble is opened.
// docs/formats/log-store.md draws the same.
package logstore
