// Package pipe is the talk between a daemon and its query process, over the standard input and output of the latter.
//
// The daemon sends Configure once, then one Statement after the other. The process opens scans and says with More how
// many batches it has room for; it sends Result until it ends a statement with Done or Failed. A frame is
//
//	kind:u8 scan:u32 length:u32 payload     (little endian)
//
// Both ends are the same binary: there are no versions. The format never outlives a process.
package pipe
