package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/invocation"
)

// applyResume has an invocation go on now, whatever it waits for, perhaps at another deployment.
func (a *application) applyResume() error {
	var c storedv1.ResumeFacts
	if err := c.UnmarshalVT(a.rec.Facts); err != nil {
		return a.badFacts(err)
	}
	return a.operate(func(inv *invocation.Invocation) (command.OutcomeStatus, error) {
		return a.resume(inv, c.Deployment)
	})
}

func (a *application) resume(inv *invocation.Invocation, to *storedv1.Choice) (command.OutcomeStatus, error) {
	row := &inv.Row
	switch row.Status {
	case storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED:
		return command.OutcomeAlreadyCompleted, nil
	case storedv1.InvocationStatus_INVOCATION_STATUS_SCHEDULED, storedv1.InvocationStatus_INVOCATION_STATUS_INBOXED:
		return command.OutcomeNotStarted, nil
	}
	running := row.Status == storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED
	if to != nil {
		if running {
			return command.OutcomeDeploymentFixed, nil
		}
		pin, status := repin(row.Pin, to)
		if status != command.OutcomeAccepted {
			return status, nil
		}
		row.Pin = pin
	}
	switch {
	case !running:
	case row.Pausing: // the operator thought better of it
		a.emit(Effect{Kind: EffectStop, ID: inv.ID, Activation: activationOf(row)})
	default:
		a.emit(Effect{Kind: EffectRetry, ID: inv.ID, Activation: activationOf(row)})
		return command.OutcomeAccepted, nil
	}
	return command.OutcomeAccepted, a.activate(inv)
}

// repin moves what was written in one version of the protocol to a deployment that speaks it, too. What was never
// pinned begins at the newest deployment; no version is agreed on for another one.
func repin(pin *storedv1.Pin, to *storedv1.Choice) (*storedv1.Pin, command.OutcomeStatus) {
	if pin == nil {
		if to.Newest {
			return nil, command.OutcomeAccepted
		}
		return nil, command.OutcomeDeploymentFixed
	}
	if v := pin.ProtocolVersion; v < to.MinProtocolVersion || v > to.MaxProtocolVersion {
		return nil, command.OutcomeProtocolMismatch
	}
	return &storedv1.Pin{Deployment: to.Deployment, ProtocolVersion: pin.ProtocolVersion}, command.OutcomeAccepted
}
