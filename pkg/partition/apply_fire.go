package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/serviceproto"
)

// applyFire does what a timer was set for, once: the row of the timer is the proof that it was not done.
func (a *application) applyFire() error {
	var c storedv1.TimerFacts
	if err := c.UnmarshalVT(a.rec.Facts); err != nil {
		return a.badFacts(err)
	}
	t := Timer{Due: c.DueMs, ID: a.rec.ID, Incarnation: uint64(a.rec.Incarnation), Kind: TimerKind(c.Kind), Index: c.Index}
	set, err := a.st.HasTimer(t)
	if err != nil || !set {
		return err
	}
	if err := a.st.DeleteTimer(t); err != nil {
		return err
	}
	switch t.Kind {
	case TimerSleep:
		_, err := a.notify(t.ID, a.rec.Incarnation, serviceproto.AppendVoid(nil, serviceproto.TypeSleepCompletion, t.Index))
		return err
	case TimerStart:
		return a.startScheduled(t)
	case TimerForget:
		return a.forgetHidden(t)
	default:
		return errs.Newf(errs.Unsupported, "unknown timer kind %d at %d", t.Kind, a.rec.LSN)
	}
}

func (a *application) forgetHidden(t Timer) error {
	inv, err := a.st.Invocation(t.ID)
	if err != nil || inv == nil || inv.Row.Incarnation != t.Incarnation || !inv.Hidden() {
		return err
	}
	return a.forget(inv)
}

func (a *application) startScheduled(t Timer) error {
	inv, err := a.st.Invocation(t.ID)
	if err != nil || inv == nil || inv.Row.Incarnation != t.Incarnation ||
		inv.Row.Status != storedv1.InvocationStatus_INVOCATION_STATUS_SCHEDULED {
		return err
	}
	return a.admit(inv, inv.Row.Input)
}
