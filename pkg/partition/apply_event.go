package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/invocation"
)

// eventsMax is how many events of a life are kept: the newest. Part of the apply version.
const eventsMax = 64

// applyEvent keeps, for people to read, why an attempt failed that is tried again.
func (a *application) applyEvent() error {
	var c storedv1.EventFacts
	if err := c.UnmarshalVT(a.rec.Facts); err != nil {
		return a.badFacts(err)
	}
	inv, err := a.attempted()
	if err != nil || inv == nil {
		return err
	}
	if err := a.record(inv, storedv1.JournalEventType_JOURNAL_EVENT_TYPE_TRANSIENT_ERROR, c.Failure); err != nil {
		return err
	}
	return a.st.PutInvocation(inv)
}

// record adds an event, unless it says what the last one said; the caller puts the row.
func (a *application) record(inv *invocation.Invocation, what storedv1.JournalEventType, why *storedv1.AttemptFailure) error {
	row := &inv.Row
	index, err := a.st.Journal(inv)
	if err != nil {
		return err
	}
	if row.Events > 0 {
		last, err := a.st.Event(inv, row.Events-1)
		if err != nil {
			return err
		}
		if last != nil && last.Type == what && what == storedv1.JournalEventType_JOURNAL_EVENT_TYPE_TRANSIENT_ERROR && sameFailure(last.Failure, why) {
			return nil
		}
	}
	if row.Events >= eventsMax {
		if err := a.st.DeleteEvent(inv, row.Events-eventsMax); err != nil {
			return err
		}
	}
	row.Events++
	return a.st.PutEvent(inv, row.Events-1, &storedv1.JournalEvent{
		Type: what, AppendedAtMs: a.now, AfterEntry: max(index.Entries, 1) - 1, Failure: why,
	})
}

// sameFailure tells whether two failures are one for people: same code, text and command.
func sameFailure(x, y *storedv1.AttemptFailure) bool {
	return x.GetCode() == y.GetCode() && x.GetMessage() == y.GetMessage() &&
		x.GetRelatedCommandIndex() == y.GetRelatedCommandIndex() && x.GetRelatedCommandName() == y.GetRelatedCommandName() &&
		x.GetRelatedCommandType() == y.GetRelatedCommandType()
}

// dropEvents drops all events of a life; the caller puts the row.
func (a *application) dropEvents(inv *invocation.Invocation) error {
	row := &inv.Row
	for n := row.Events - min(row.Events, eventsMax); n < row.Events; n++ {
		if err := a.st.DeleteEvent(inv, n); err != nil {
			return err
		}
	}
	row.Events = 0
	return nil
}
