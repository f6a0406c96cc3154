package processor

import (
	"fmt"
	"runtime/debug"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/lsn"
	"reprise/pkg/partition"
	"reprise/pkg/partitionstore"
)

// replayer applies committed records to a store, many in one batch: rows that change often are written once.
type replayer struct {
	store   *partitionstore.Store
	clock   host.Clock
	times   *applyTimes
	effects []partition.Effect
}

// take applies the records of a group. What it cannot apply has the code Corrupt or Unsupported: the
// partition must be parked, for the store holds half of it. A panic is a fault of ours that must cost
// this partition only.
func (r *replayer) take(first lsn.LSN, records []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errs.Newf(errs.Corrupt, "panic: %v\n%s", p, debug.Stack())
		}
		if err != nil {
			r.store.Fail(err)
		}
	}()
	began := r.clock.Now() // of the record in hand: one look at the clock for each
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
		if r.effects, err = partition.Apply(r.store.View(), rec, r.effects[:0]); err != nil {
			return fatal(fmt.Errorf("apply record %d: %w", rec.LSN, err))
		}
		ended := r.clock.Now()
		r.times.of(rec.Kind).Observe(ended.Sub(began).Seconds())
		began = ended
		if r.store.Uncommitted() >= commitBytes {
			if err := r.store.Commit(); err != nil {
				return fatal(err)
			}
		}
	}
	return nil
}

// fatal gives an error a code that has the partition parked.
func fatal(err error) error {
	if errs.Is(err, errs.Unsupported) {
		return err
	}
	return errs.With(errs.Corrupt, err)
}
