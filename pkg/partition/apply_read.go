package partition

import (
	"reprise/pkg/command"
	"reprise/pkg/invocation"
)

// applyRead answers what is known of an invocation, and changes nothing.
func (a *application) applyRead() error {
	inv, err := a.st.Invocation(a.rec.ID)
	if err != nil {
		return err
	}
	a.answer(Lookup(inv))
	return nil
}

// Lookup is the answer to who asks about an invocation; nil is one that does not exist.
func Lookup(inv *invocation.Invocation) *command.Outcome {
	if inv == nil || inv.Hidden() {
		return &command.Outcome{Status: command.OutcomeNotFound}
	}
	return known(inv)
}
