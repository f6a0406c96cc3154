package partition

import (
	"reprise/pkg/command"
	"reprise/pkg/invocation"
)

// applyPurge forgets a completed invocation.
func (a *application) applyPurge() error {
	return a.operate(func(inv *invocation.Invocation) (command.OutcomeStatus, error) {
		if !completed(inv) {
			return command.OutcomeNotCompleted, nil
		}
		return command.OutcomeAccepted, a.forget(inv)
	})
}

// applyPurgeJournal forgets the journal of a completed invocation; its result stays.
func (a *application) applyPurgeJournal() error {
	return a.operate(func(inv *invocation.Invocation) (command.OutcomeStatus, error) {
		if !completed(inv) {
			return command.OutcomeNotCompleted, nil
		}
		if err := a.dropJournal(inv); err != nil {
			return 0, err
		}
		return command.OutcomeAccepted, a.st.PutInvocation(inv)
	})
}
