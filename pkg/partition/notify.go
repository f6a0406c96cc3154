package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
	"reprise/pkg/lsn"
	"reprise/pkg/serviceproto"
)

// anyLife is the incarnation of a message that is meant for whatever life the invocation is in.
const anyLife lsn.LSN = 0

// notify stores one notification frame for an invocation that has not ended, and wakes it if that is
// what it waits for. It returns false if nobody is there to take it. frame is borrowed from the record,
// or never changed.
func (a *application) notify(to id.Invocation, life lsn.LSN, frame []byte) (bool, error) {
	inv, err := a.st.Invocation(to)
	if err != nil || inv == nil {
		return false, err
	}
	if life != anyLife && inv.Row.Incarnation != uint64(life) ||
		inv.Row.Status == storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED {
		return false, nil
	}
	n, err := scanNotification(frame)
	if err != nil {
		return false, err
	}
	if n.SignalIndex == serviceproto.SignalCancel {
		return true, a.cancel(inv)
	}
	return true, a.deliver(inv, n, frame)
}

// deliver is notify for an invocation that has not ended.
func (a *application) deliver(inv *invocation.Invocation, n serviceproto.Notification, frame []byte) error {
	if a.step.inv == inv {
		a.step.notifySelf(n, frame)
		return nil
	}
	index, err := a.st.Journal(inv)
	if err != nil || resolved(index, n) {
		return err
	}
	if err := a.writeInput(inv, inv.Row.Input); err != nil { // it may wait for its turn; the Input comes first
		return err
	}
	first := index.Entries
	inv.Input = nil
	if err := a.st.AppendJournal(inv, journal.Row{First: first, Entries: 1, Time: a.now, Frames: frame}); err != nil {
		return err
	}
	switch inv.Row.Status {
	case storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED:
		a.emit(Effect{Kind: EffectForward, ID: inv.ID, Activation: activationOf(&inv.Row), First: first, Entries: 1, Frames: frame})
		return nil
	case storedv1.InvocationStatus_INVOCATION_STATUS_SUSPENDED:
		return a.wake(inv, index)
	case storedv1.InvocationStatus_INVOCATION_STATUS_SCHEDULED, storedv1.InvocationStatus_INVOCATION_STATUS_INBOXED:
		return a.st.PutInvocation(inv) // its Input moved
	default:
		return nil
	}
}

func scanNotification(frame []byte) (serviceproto.Notification, error) {
	f, rest, ok, err := serviceproto.NextFrame(frame, noLimit)
	if err == nil && (!ok || len(rest) != 0) {
		err = errs.Newf(errs.Corrupt, "body of %d bytes is not one frame", len(frame))
	}
	if err != nil {
		return serviceproto.Notification{}, errs.With(errs.Corrupt, err)
	}
	n, err := serviceproto.ScanNotification(f)
	return n, errs.With(errs.Corrupt, err)
}

// resolved tells whether the notification says what was said before: the first completion of an id
// counts, and the first of an awakeable. Other signals may come again.
func resolved(index *journal.Index, n serviceproto.Notification) bool {
	if n.HasSignal {
		return n.SignalIndex >= serviceproto.FirstAwakeable && index.Signal(n.SignalIndex) != 0
	}
	return index.Completion(n.CompletionID) != 0
}

// wake starts a new activation of a suspended invocation if what it waits for is there.
func (a *application) wake(inv *invocation.Invocation, index *journal.Index) error {
	await, err := serviceproto.StoredAwait(inv.Row.Awaiting)
	if err != nil || !await.Satisfied(index) {
		return err
	}
	return a.activate(inv)
}
