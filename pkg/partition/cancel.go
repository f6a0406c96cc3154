package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/invocation"
	"reprise/pkg/queue"
)

const (
	canceledCode = 409
	canceled     = "canceled"
)

// cancel ends an invocation that has not begun: there is no handler to tell, so whoever waits is told that
// it was canceled.
func (a *application) cancel(inv *invocation.Invocation) error {
	row := &inv.Row
	switch row.Status {
	case storedv1.InvocationStatus_INVOCATION_STATUS_SCHEDULED:
		t := Timer{Due: row.ExecuteAtMs, ID: inv.ID, Incarnation: row.Incarnation, Kind: TimerStart}
		if err := a.st.DeleteTimer(t); err != nil {
			return err
		}
	case storedv1.InvocationStatus_INVOCATION_STATUS_INBOXED:
		if err := queue.Withdraw(a.st, queueOf(inv), row.QueuePosition, inv.ID); err != nil {
			return err
		}
		row.QueuePosition = 0
	default:
		return nil
	}
	failure := &storedv1.Failure{Code: canceledCode, Message: canceled}
	return a.complete(inv, &storedv1.Result{Result: &storedv1.Result_Failure{Failure: failure}})
}
