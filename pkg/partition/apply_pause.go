package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/invocation"
)

// applyPause ends an activation whose attempts failed too often, or that an operator wants to stand still: the
// invocation waits for an operator.
func (a *application) applyPause() error {
	var c storedv1.PauseFacts
	if err := c.UnmarshalVT(a.rec.Facts); err != nil {
		return a.badFacts(err)
	}
	inv, err := a.attempted()
	if err != nil || inv == nil {
		return err
	}
	return a.pause(inv, c.Failure)
}

func (a *application) pause(inv *invocation.Invocation, why *storedv1.AttemptFailure) error {
	a.deactivate(inv, storedv1.InvocationStatus_INVOCATION_STATUS_PAUSED)
	inv.Row.Failure = why
	if err := a.record(inv, storedv1.JournalEventType_JOURNAL_EVENT_TYPE_PAUSED, why); err != nil {
		return err
	}
	return a.st.PutInvocation(inv)
}

// attempted returns the invocation if the record comes from an attempt of its present activation, and
// no later attempt sent anything; else nil.
func (a *application) attempted() (*invocation.Invocation, error) {
	inv, err := a.st.Invocation(a.rec.ID)
	if err != nil || inv == nil {
		return nil, err
	}
	row := &inv.Row
	if row.Status != storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED ||
		row.Incarnation != uint64(a.rec.Incarnation) || activationOf(row) != a.rec.Activation {
		return nil, nil
	}
	index, err := a.st.Journal(inv)
	if err != nil || a.rec.Attempt < index.LastAttempt {
		return nil, err
	}
	return inv, nil
}
