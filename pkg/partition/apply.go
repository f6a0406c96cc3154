package partition

import (
	"reprise/pkg/command"
	"reprise/pkg/errs"
)

// Apply folds one committed command into the partition and appends the effects that follow to
// effects. Same state and command, same result, on every replica and every replay.
//
// It advances Meta (applied LSN, time, dedup) itself. A record whose epoch or sequence is that of a
// duplicate or of a deposed leader changes nothing but the applied LSN. A sequence above the next is
// a fault. An error halts this partition; a command is never skipped.
func Apply(st State, rec command.Record, effects []Effect) ([]Effect, error) {
	return effects, errs.Newf(errs.Unsupported, "unknown command %d at %d", rec.Kind, rec.LSN)
}
