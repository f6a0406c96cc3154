package partition

import (
	"reprise/pkg/command"
	"reprise/pkg/invocation"
)

var notFound = &command.Outcome{Status: command.OutcomeNotFound}

// operate answers the record with what f did to the invocation that it names. What is hidden is not there.
func (a *application) operate(f func(inv *invocation.Invocation) (command.OutcomeStatus, error)) error {
	at := len(a.effects)
	a.answer(accepted)
	inv, err := a.st.Invocation(a.rec.ID)
	if err != nil {
		return err
	}
	if inv == nil || inv.Hidden() {
		a.effects[at].Outcome = notFound
		return nil
	}
	status, err := f(inv)
	if err != nil {
		return err
	}
	a.effects[at].Outcome = &command.Outcome{Status: status}
	return nil
}
