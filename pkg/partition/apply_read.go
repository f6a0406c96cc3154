package partition

import "reprise/pkg/command"

// applyRead answers what is known of an invocation, and changes nothing.
func (a *application) applyRead() error {
	inv, err := a.st.Invocation(a.rec.ID)
	if err != nil {
		return err
	}
	if inv == nil {
		a.answer(&command.Outcome{Status: command.OutcomeNotFound})
		return nil
	}
	a.answer(a.known(inv))
	return nil
}
