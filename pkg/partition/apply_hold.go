package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/invocation"
)

// applyHold pauses an invocation that has begun. An attempt that runs is given the time to end by itself: what
// it has done is not lost. The leader then proposes a Pause, unless the attempt suspends or ends before.
func (a *application) applyHold() error {
	return a.operate(func(inv *invocation.Invocation) (command.OutcomeStatus, error) {
		row := &inv.Row
		switch row.Status {
		case storedv1.InvocationStatus_INVOCATION_STATUS_PAUSED:
			return command.OutcomeAccepted, nil
		case storedv1.InvocationStatus_INVOCATION_STATUS_SUSPENDED:
			return command.OutcomeUnderWay, a.pause(inv, nil)
		case storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED:
			if row.Pausing {
				return command.OutcomeUnderWay, nil
			}
			row.Pausing, row.ModifiedAtMs = true, a.now
			a.emit(Effect{Kind: EffectHold, ID: inv.ID, Activation: activationOf(row)})
			return command.OutcomeUnderWay, a.st.PutInvocation(inv)
		case storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED:
			return command.OutcomeAlreadyCompleted, nil
		default:
			return command.OutcomeNotStarted, nil
		}
	})
}
