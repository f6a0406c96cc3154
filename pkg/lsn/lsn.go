package lsn

// LSN is a position in the log of a partition. The first record has LSN 1; 0 means none.
type LSN uint64

// First is the LSN of the first record of a log.
const First LSN = 1

// Offset is a position in one loglet. The first record has offset 1; 0 means none.
type Offset uint32

// FirstOffset is the offset of the first record of a loglet.
const FirstOffset Offset = 1

// Epoch numbers the leaderships of a partition. It only grows; 0 means never led.
type Epoch uint64

// At returns the LSN of an offset in a loglet whose first offset has LSN base.
func (o Offset) At(base LSN) LSN { return base + LSN(o) - 1 }

// In returns the offset of an LSN in a loglet whose first offset has LSN base.
func (l LSN) In(base LSN) Offset { return Offset(l - base + 1) }
