package processor

import (
	"fmt"
	"runtime/debug"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/lsn"
	"reprise/pkg/partition"
	"reprise/pkg/partitionstore"
)

// replayBytesMax bounds the records that are applied before what they change is stored.
const replayBytesMax = 1 << 20

// replayer applies committed records to a store, many in one batch: rows that change often are written once.
type replayer struct {
	view        *partitionstore.View
	commandsMax int

	commands, bytes int  // since the last commit
	failed          bool // the view holds half of a record
	effects         []partition.Effect
}

// take applies the records of a group. What it cannot apply has the code Corrupt or Unsupported: the
// partition must be parked, for the view holds half of it. A panic is a fault of ours that must cost
// this partition only.
func (r *replayer) take(first lsn.LSN, records []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errs.Newf(errs.Corrupt, "panic: %v\n%s", p, debug.Stack())
		}
		r.failed = err != nil
	}()
	for at := first; len(records) > 0; at++ {
		raw, rest, err := command.Next(records)
		if err != nil {
			return err
		}
		records = rest
		if err := command.Verify(raw); err != nil {
			return err
		}
		rec, err := command.Parse(raw)
		if err != nil {
			return err
		}
		if rec.LSN != at {
			return errs.Newf(errs.Corrupt, "record %d stands at %d", rec.LSN, at)
		}
		if r.effects, err = partition.Apply(r.view, rec, r.effects[:0]); err != nil {
			return fatal(fmt.Errorf("apply record %d: %w", rec.LSN, err))
		}
		r.commands++
		r.bytes += len(raw)
		if r.commands >= r.commandsMax || r.bytes >= replayBytesMax {
			if err := r.commit(); err != nil {
				return err
			}
		}
	}
	return nil
}

// commit stores what was changed.
func (r *replayer) commit() error {
	if r.commands == 0 || r.failed {
		return nil
	}
	r.commands, r.bytes = 0, 0
	return fatal(r.view.Commit())
}

// fatal gives an error a code that has the partition parked.
func fatal(err error) error {
	if errs.Is(err, errs.Unsupported) {
		return err
	}
	return errs.With(errs.Corrupt, err)
}
