package partition

// applySignal hands a signal to an invocation that has not ended; else nothing happens.
func (a *application) applySignal() error {
	at := len(a.effects)
	a.answer(accepted)
	taken, err := a.notify(a.rec.ID, a.rec.Incarnation, a.rec.Body)
	if err == nil && !taken {
		a.effects[at].Outcome = notFound
	}
	return err
}
