package partition

import (
	"fmt"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/lsn"
)

// Apply folds one committed command into the partition and appends the effects that follow to
// effects. Same state and command, same result, on every replica and every replay.
//
// It advances Meta (applied LSN, time, dedup) itself. A record whose epoch or sequence is that of a
// duplicate or of a deposed leader changes nothing but the applied LSN. A sequence above the next is
// a fault. An error halts this partition; a command is never skipped.
//
// Effects stand in the order of their records. Of one record, an answer comes first; of a Step, first
// what it brought about for others, then EffectStepped, then its Forwards, then the end of its activation.
func Apply(st State, rec command.Record, effects []Effect) ([]Effect, error) {
	meta := st.Meta()
	if want := meta.Applied + 1; uint64(rec.LSN) != want {
		return effects, errs.Newf(errs.Corrupt, "record %d where %d comes next", rec.LSN, want)
	}
	fresh, err := admitRecord(meta, &rec.Header)
	if err != nil {
		return effects, err
	}
	meta.Applied = uint64(rec.LSN)
	if !fresh {
		return effects, nil
	}
	meta.TimeMs = max(meta.TimeMs, rec.Time)
	if rec.SourceSeq > 0 {
		if fresh, err = admitSource(st, &rec.Header); err != nil || !fresh {
			return effects, err
		}
	}
	a := application{st: st, meta: meta, rec: rec, now: meta.TimeMs, effects: effects}
	err = a.apply()
	return a.effects, err
}

// admitRecord fences by epoch and sequence and advances them.
func admitRecord(meta *storedv1.Meta, h *command.Header) (fresh bool, err error) {
	if h.Kind == command.Announce {
		return uint64(h.Epoch) > meta.Epoch, nil
	}
	switch {
	case uint64(h.Epoch) < meta.Epoch:
		return false, nil
	case uint64(h.Epoch) > meta.Epoch:
		return false, errs.Newf(errs.Corrupt, "record %d of epoch %d, which was not announced; the last was %d", h.LSN, h.Epoch, meta.Epoch)
	case h.Seq <= meta.Seq:
		return false, nil
	case h.Seq > meta.Seq+1:
		return false, errs.Newf(errs.Corrupt, "record %d has sequence %d where %d comes next", h.LSN, h.Seq, meta.Seq+1)
	}
	meta.Seq = h.Seq
	return true, nil
}

// admitSource does the same for what another partition numbered.
func admitSource(st State, h *command.Header) (fresh bool, err error) {
	last, err := st.SourceSeq(h.Source)
	switch {
	case err != nil:
		return false, err
	case h.SourceSeq <= last:
		return false, nil
	case h.SourceSeq > last+1:
		return false, errs.Newf(errs.Corrupt, "record %d is message %d of partition %d where %d comes next", h.LSN, h.SourceSeq, h.Source, last+1)
	}
	return true, st.SetSourceSeq(h.Source, h.SourceSeq)
}

// application is one run of Apply.
type application struct {
	st      State
	meta    *storedv1.Meta
	rec     command.Record
	now     int64 // partition time, Unix milliseconds
	effects []Effect

	step   step   // while the frames of a Step are applied
	chain  chain  // what was done in place for others
	queued uint64 // entries put into queues by this record
}

func (a *application) apply() error {
	switch a.rec.Kind {
	case command.Announce:
		return a.applyAnnounce()
	case command.Invoke:
		return a.applyInvoke()
	case command.Step:
		return a.applyStep()
	case command.Fire:
		return a.applyFire()
	case command.Respond:
		return a.applyRespond()
	case command.Share:
		return a.applyShare()
	case command.Signal:
		return a.applySignal()
	case command.Attach:
		return a.applyAttach()
	case command.TruncateOutbox:
		return a.applyTruncateOutbox()
	case command.Read:
		return a.applyRead()
	case command.Pause:
		return a.applyPause()
	case command.Fail:
		return a.applyFail()
	case command.Event:
		return a.applyEvent()
	default:
		return a.applyOperation()
	}
}

// applyOperation does what people ask for, and what follows from time.
func (a *application) applyOperation() error {
	switch a.rec.Kind {
	case command.Cancel:
		return a.applyCancel()
	case command.Kill:
		return a.applyKill()
	case command.Hold:
		return a.applyHold()
	case command.Resume:
		return a.applyResume()
	case command.Restart:
		return a.applyRestart()
	case command.Purge:
		return a.applyPurge()
	case command.PurgeJournal:
		return a.applyPurgeJournal()
	case command.PatchState:
		return a.applyPatchState()
	case command.Expire:
		return a.applyExpire()
	case command.Barrier:
		return a.applyBarrier()
	default:
		return errs.Newf(errs.Unsupported, "unknown command %d at %d: this binary is older than what proposed it; run the release that the other workers run, or a newer one",
			a.rec.Kind, a.rec.LSN)
	}
}

func (a *application) emit(e Effect) {
	e.LSN = a.rec.LSN
	a.effects = append(a.effects, e)
}

func (a *application) answer(o *command.Outcome) {
	a.emit(Effect{Kind: EffectAnswer, ID: a.rec.ID, Outcome: o})
}

func (a *application) badFacts(err error) error {
	return errs.With(errs.Corrupt, fmt.Errorf("facts of command %d at %d: %w", a.rec.Kind, a.rec.LSN, err))
}

func (a *application) lsn() uint64 { return uint64(a.rec.LSN) }

func activationOf(row *storedv1.Invocation) lsn.LSN { return lsn.LSN(row.Activation) }
