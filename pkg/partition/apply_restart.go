package partition

import (
	"bytes"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
	"reprise/pkg/serviceproto"
)

// prefixBytesMax bounds the part of a journal that a restart copies. Part of the apply version.
const prefixBytesMax = 32 << 20

// applyRestart repeats a completed invocation as a new one, from its input or from a part of its journal.
func (a *application) applyRestart() error {
	var c storedv1.RestartFacts
	if err := c.UnmarshalVT(a.rec.Facts); err != nil {
		return a.badFacts(err)
	}
	next, err := invocationID(c.Id)
	if err == nil && next.PartitionKey() != a.rec.ID.PartitionKey() {
		err = errs.Newf(errs.Corrupt, "%s is not of the partition key of %s", next, a.rec.ID)
	}
	if err != nil {
		return a.badFacts(err)
	}
	return a.operate(func(inv *invocation.Invocation) (command.OutcomeStatus, error) { return a.restart(inv, next, &c) })
}

func (a *application) restart(old *invocation.Invocation, next id.Invocation, c *storedv1.RestartFacts) (command.OutcomeStatus, error) {
	switch {
	case old.Started():
		return command.OutcomeNotCompleted, nil
	case !completed(old):
		return command.OutcomeNotStarted, nil
	case old.Row.Target.GetHandlerType() == storedv1.HandlerType_HANDLER_TYPE_WORKFLOW:
		return command.OutcomeNotRestartable, nil
	case old.Row.JournalEntries == 0:
		return command.OutcomeJournalGone, nil
	}
	was, err := a.st.Invocation(next)
	if err != nil {
		return 0, err
	}
	if was != nil { // a repeat
		if !bytes.Equal(was.Row.RestartedFrom, old.ID[:]) {
			return command.OutcomePreviouslyAccepted, nil
		}
		return command.OutcomeAccepted, nil
	}
	inv, status := a.repetition(old, next, c)
	if status != command.OutcomeAccepted {
		return status, nil
	}
	prefix, err := a.prefix(old, c.From)
	if err != nil || prefix.status != command.OutcomeAccepted {
		return prefix.status, err
	}
	if c.From == 0 {
		return command.OutcomeAccepted, a.admit(inv, prefix.frames)
	}
	if err := a.st.AppendJournal(inv, journal.Row{Entries: prefix.entries, Time: a.now, Frames: prefix.frames}); err != nil {
		return 0, err
	}
	return command.OutcomeAccepted, a.admit(inv, nil)
}

// repetition makes the row of the new invocation.
func (a *application) repetition(old *invocation.Invocation, next id.Invocation, c *storedv1.RestartFacts) (*invocation.Invocation, command.OutcomeStatus) {
	inv := &invocation.Invocation{ID: next, Journal: &journal.Index{}}
	row := &inv.Row
	row.Incarnation, row.CreatedAtMs = a.lsn(), a.now
	row.Target, row.RestartedFrom = old.Row.Target, idBytes(old.ID)
	row.CompletionRetentionMs, row.JournalRetentionMs = old.Row.CompletionRetentionMs, old.Row.JournalRetentionMs
	row.TraceParent, row.TraceState = old.Row.TraceParent, old.Row.TraceState
	switch {
	case c.Deployment != nil:
		pin, status := repin(old.Row.Pin, c.Deployment)
		if status != command.OutcomeAccepted {
			return nil, status
		}
		row.Pin = pin
	case c.Keep || c.From > 0: // a journal is bound to its version
		row.Pin = old.Row.Pin
	}
	return inv, command.OutcomeAccepted
}

// prefix is the beginning of a journal.
type prefix struct {
	status  command.OutcomeStatus
	entries uint32
	frames  []byte
	ended   bool // it holds an Output: nothing is left to do
	open    map[uint32]struct{}
}

// prefix copies the entries of a journal up to the one with the index last. All its commands must have
// their results in it: nobody would send them to the new invocation.
func (a *application) prefix(old *invocation.Invocation, last uint32) (p prefix, err error) {
	p = prefix{status: command.OutcomeBadPrefix, open: map[uint32]struct{}{}}
	if last >= old.Row.JournalEntries {
		return p, nil
	}
	var bad error
	err = a.st.JournalRows(old, func(row journal.Row) error {
		eachFrame(row.Frames, func(f serviceproto.Frame) {
			if bad == nil && p.entries <= last {
				bad = p.add(f)
			}
		})
		return bad
	})
	if err != nil {
		return p, err
	}
	switch {
	case len(p.frames) > prefixBytesMax:
		p.status = command.OutcomeNotRestartable
	case len(p.open) == 0 && !p.ended:
		p.status = command.OutcomeAccepted
	}
	return p, nil
}

func (p *prefix) add(f serviceproto.Frame) error {
	p.entries++
	if len(p.frames) <= prefixBytesMax { // else it is refused
		p.frames = append(p.frames, f.Raw...)
	}
	if f.Type.IsNotification() {
		n, err := serviceproto.ScanNotification(f)
		if err == nil && !n.HasSignal {
			delete(p.open, n.CompletionID)
		}
		return err
	}
	p.ended = p.ended || f.Type == serviceproto.TypeOutput
	completion, waits, err := serviceproto.ResultCompletion(f)
	if waits && err == nil {
		p.open[completion] = struct{}{}
	}
	return err
}
