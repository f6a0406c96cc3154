package lsn_test

import (
	"testing"

	"reprise/pkg/lsn"
)

func TestOffsetsAndPositions(t *testing.T) {
	for _, c := range []struct {
		base   lsn.LSN
		offset lsn.Offset
		at     lsn.LSN
	}{{1, 1, 1}, {1, 5, 5}, {90700, 1, 90700}, {90700, 10, 90709}} {
		if got := c.offset.At(c.base); got != c.at {
			t.Errorf("offset %d of a loglet at %d is %d, want %d", c.offset, c.base, got, c.at)
		}
		if got := c.at.In(c.base); got != c.offset {
			t.Errorf("%d in a loglet at %d is %d, want %d", c.at, c.base, got, c.offset)
		}
	}
}
