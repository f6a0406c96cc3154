package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/invocation"
	"reprise/pkg/queue"
	"reprise/pkg/serviceproto"
)

// What invocations end with that did not end by themselves.
const (
	endedCode = 409
	canceled  = "canceled"
	killed    = "killed"
)

func endedBy(message string) *storedv1.Result {
	return &storedv1.Result{Result: &storedv1.Result_Failure{Failure: &storedv1.Failure{Code: endedCode, Message: message}}}
}

// applyCancel asks an invocation to end.
func (a *application) applyCancel() error {
	return a.operate(func(inv *invocation.Invocation) (command.OutcomeStatus, error) {
		switch {
		case inv.Started():
			return command.OutcomeUnderWay, a.cancel(inv)
		case completed(inv):
			return command.OutcomeAlreadyCompleted, nil
		default:
			return command.OutcomeAccepted, a.cancel(inv)
		}
	})
}

// cancel asks an invocation that has not ended to end: its handler gets a signal, once it runs, and decides
// what follows; the SDK tells those that the handler called. One that has not begun ends at once.
func (a *application) cancel(inv *invocation.Invocation) error {
	if !inv.Started() {
		return a.endUnstarted(inv, endedBy(canceled))
	}
	frame := serviceproto.AppendSignalVoid(nil, serviceproto.SignalCancel)
	n := serviceproto.Notification{Type: serviceproto.TypeSignalNotification, HasSignal: true, SignalIndex: serviceproto.SignalCancel}
	if err := a.deliver(inv, n, frame); err != nil || a.step.inv == inv {
		return err
	}
	switch {
	case inv.Row.Status != storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED: // paused, or it suspended without an eye on the signal
		return a.activate(inv)
	case inv.Row.Pausing: // it goes on in place of being paused
		a.emit(Effect{Kind: EffectStop, ID: inv.ID, Activation: activationOf(&inv.Row)})
		return a.activate(inv)
	default:
		return nil
	}
}

// endUnstarted ends an invocation that waits for its time or its turn. Nothing of it is kept.
func (a *application) endUnstarted(inv *invocation.Invocation, result *storedv1.Result) error {
	row := &inv.Row
	switch row.Status {
	case storedv1.InvocationStatus_INVOCATION_STATUS_SCHEDULED:
		if err := a.st.DeleteTimer(startTimer(inv)); err != nil {
			return err
		}
	case storedv1.InvocationStatus_INVOCATION_STATUS_INBOXED:
		if err := queue.Remove(a.st, queueOf(inv), row.QueuePosition); err != nil {
			return err
		}
	}
	row.QueuePosition, row.CompletionRetentionMs, row.JournalRetentionMs = 0, 0, 0
	return a.complete(inv, result)
}

func completed(inv *invocation.Invocation) bool {
	return inv.Row.Status == storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED
}
