package partition

import storedv1 "reprise/api/stored/v1"

// applyFail ends an invocation with a failure that its attempts, not its handler, came to.
func (a *application) applyFail() error {
	var c storedv1.FailFacts
	if err := c.UnmarshalVT(a.rec.Facts); err != nil {
		return a.badFacts(err)
	}
	inv, err := a.attempted()
	if err != nil || inv == nil {
		return err
	}
	return a.complete(inv, &storedv1.Result{Result: &storedv1.Result_Failure{Failure: c.Failure}})
}
