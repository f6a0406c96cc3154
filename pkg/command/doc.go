// Package command encodes commands as log records.
//
// A record is one command of one partition. It has a fixed header, then facts (what its proposer
// resolved, protobuf of api/stored), then a body of service-protocol frames as they will be stored
// and replayed. A producer finishes a record with Append; the leader numbers it in place with Stamp;
// the same bytes go to the log, to Apply and into the journal row.
//
// # Record (format 1, integers little endian)
//
//	offset size
//	0      4    length of the record, header included
//	4      4    CRC-32C of bytes 8 to the end
//	8      1    format, 1
//	9      1    kind
//	10     2    flags
//	12     4    frames in the body
//	16     8    LSN
//	24     8    loglet
//	32     8    epoch of the proposing leader
//	40     8    sequence in that epoch, without gaps
//	48     8    time of the proposal, Unix milliseconds
//	56     8    incarnation of the invocation it is about, 0 = any
//	64     8    activation it belongs to (Step, Pause, Fail, Event)
//	72     4    attempt that sent it (Step, Pause, Fail, Event)
//	76     4    length of the facts
//	80     8    sequence from the source, without gaps (0: not from another partition)
//	88     2    source partition
//	90     6    zero
//	96     24   invocation id
//	120         facts, then the body
//
// Read records again with Parse. docs/formats/record.md draws the same.
package command
