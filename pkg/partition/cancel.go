package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/invocation"
	"reprise/pkg/queue"
	"reprise/pkg/serviceproto"
)

const (
	canceledCode = 409
	canceled     = "canceled"
)

// cancel asks an invocation that has not ended to end: its handler gets a signal, once it runs, and decides
// what follows; the SDK tells those that the handler called. One that has not begun ends at once.
func (a *application) cancel(inv *invocation.Invocation) error {
	if !inv.Started() {
		return a.endUnstarted(inv)
	}
	frame := serviceproto.AppendSignalVoid(nil, serviceproto.SignalCancel)
	n := serviceproto.Notification{Type: serviceproto.TypeSignalNotification, HasSignal: true, SignalIndex: serviceproto.SignalCancel}
	if err := a.deliver(inv, n, frame); err != nil || a.step.inv == inv {
		return err
	}
	if inv.Row.Status == storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED {
		return nil
	}
	return a.activate(inv) // it is paused, or it suspended without an eye on the signal
}

// endUnstarted ends an invocation that waits for its time or its turn. Nothing of it is kept.
func (a *application) endUnstarted(inv *invocation.Invocation) error {
	row := &inv.Row
	switch row.Status {
	case storedv1.InvocationStatus_INVOCATION_STATUS_SCHEDULED:
		t := Timer{Due: row.ExecuteAtMs, ID: inv.ID, Incarnation: row.Incarnation, Kind: TimerStart}
		if err := a.st.DeleteTimer(t); err != nil {
			return err
		}
	case storedv1.InvocationStatus_INVOCATION_STATUS_INBOXED:
		if err := queue.Remove(a.st, queueOf(inv), row.QueuePosition); err != nil {
			return err
		}
	default:
	}
	row.QueuePosition, row.CompletionRetentionMs, row.JournalRetentionMs = 0, 0, 0
	failure := &storedv1.Failure{Code: canceledCode, Message: canceled}
	return a.complete(inv, &storedv1.Result{Result: &storedv1.Result_Failure{Failure: failure}})
}
