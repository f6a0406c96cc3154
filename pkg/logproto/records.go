package logproto

import (
	"fmt"

	"reprise/pkg/command"
	"reprise/pkg/errs"
)

// CheckCount tells whether records is count whole records back to back. It looks at their lengths only.
func CheckCount(records []byte, count uint32) error {
	n := uint32(0)
	for len(records) > 0 && n < count {
		var err error
		if _, records, err = command.Next(records); err != nil {
			return fmt.Errorf("record %d of %d: %w", n+1, count, err)
		}
		n++
	}
	if n != count || len(records) > 0 {
		return errs.Newf(errs.Corrupt, "%d records and %d bytes where %d records should be", n, len(records), count)
	}
	return nil
}

// CheckSums verifies the checksum of each record, as it came from a disk or a network.
func CheckSums(records []byte) error {
	for len(records) > 0 {
		rec, rest, err := command.Next(records)
		if err != nil {
			return err
		}
		if err := command.Verify(rec); err != nil {
			return err
		}
		records = rest
	}
	return nil
}
