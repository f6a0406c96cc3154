package partition

// applyRespond hands the result of a callee on another partition to the caller, if that life of it
// still waits.
func (a *application) applyRespond() error {
	_, err := a.notify(a.rec.ID, a.rec.Incarnation, a.rec.Body)
	return err
}
