package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/queue"
)

// complete ends an invocation: who waits is answered, what is to be kept is kept, the lock goes on.
func (a *application) complete(inv *invocation.Invocation, result *storedv1.Result) error {
	row := &inv.Row
	held := inv.Exclusive() && inv.Started()
	a.deactivate(inv, storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED)
	row.Result, row.CompletedAtMs = result, a.now
	row.Awaiting, row.Failure, row.Input = nil, nil, nil
	sinks := row.Sinks
	row.Sinks = nil
	a.emit(Effect{Kind: EffectCompleted, ID: inv.ID, Inv: inv, Outcome: &command.Outcome{
		Status: command.OutcomeCompleted, ExecuteAt: row.ExecuteAtMs, Target: row.Target, Result: result,
	}})
	if err := a.retain(inv); err != nil {
		return err
	}
	if err := a.share(sinks, &storedv1.ShareFacts{Result: result}); err != nil {
		return err
	}
	if !held {
		return nil
	}
	return a.passLock(queueOf(inv), inv.ID)
}

// retain keeps the row and the journal for as long as was asked, else drops them. Nothing wakes who sleeps any more.
func (a *application) retain(inv *invocation.Invocation) error {
	row := &inv.Row
	index, err := a.st.Journal(inv)
	if err != nil {
		return err
	}
	row.JournalEntries = index.Entries
	inv.Input = nil
	for _, sleep := range index.OpenSleeps() {
		if err := a.st.DeleteTimer(sleepTimer(inv, sleep.Due, sleep.Completion)); err != nil {
			return err
		}
	}
	if row.CompletionRetentionMs <= 0 || row.JournalRetentionMs <= 0 {
		if err := a.dropJournal(inv); err != nil {
			return err
		}
	}
	if !inv.Hidden() {
		return a.st.PutInvocation(inv)
	}
	if err := a.dropWorkflow(inv); err != nil {
		return err
	}
	if !fromOutside(row) {
		return a.st.DeleteInvocation(inv)
	}
	if err := a.putTimer(forgetTimer(inv)); err != nil {
		return err
	}
	return a.st.PutInvocation(inv)
}

// repeatMs is how long a completed invocation whose request came from outside stays at least: the ingress
// sends a request again whose answer was lost, and must not execute it twice. Part of the apply version.
const repeatMs = 10 * 60 * 1000

// fromOutside tells whether no invocation called this one.
func fromOutside(row *storedv1.Invocation) bool { return len(row.CallerId) == 0 }

func forgetTimer(inv *invocation.Invocation) Timer {
	return Timer{Due: inv.Row.CompletedAtMs + repeatMs, ID: inv.ID, Incarnation: inv.Row.Incarnation, Kind: TimerForget}
}

// forget drops all that is kept of a completed invocation, and what belongs to the key of a workflow.
func (a *application) forget(inv *invocation.Invocation) error {
	if inv.Hidden() && fromOutside(&inv.Row) {
		if err := a.st.DeleteTimer(forgetTimer(inv)); err != nil {
			return err
		}
	}
	if err := a.dropJournal(inv); err != nil {
		return err
	}
	if !inv.Hidden() { // else it went when it was hidden
		if err := a.dropWorkflow(inv); err != nil {
			return err
		}
	}
	return a.st.DeleteInvocation(inv)
}

// dropWorkflow drops what belongs to the key of a workflow whose run is forgotten, if it ever began.
func (a *application) dropWorkflow(inv *invocation.Invocation) error {
	t := inv.Row.Target
	if t.GetHandlerType() != storedv1.HandlerType_HANDLER_TYPE_WORKFLOW || inv.Row.Activation == 0 {
		return nil
	}
	if err := a.st.ClearPromises(t.GetService(), t.GetKey()); err != nil {
		return err
	}
	return a.st.ClearAllUserState(t.GetService(), t.GetKey())
}

// dropJournal drops the journal of a completed invocation with what happened beside it; the caller puts the row.
func (a *application) dropJournal(inv *invocation.Invocation) error {
	if err := a.dropEvents(inv); err != nil || inv.Row.JournalEntries == 0 {
		return err
	}
	err := a.st.DropJournal(inv)
	inv.Row.JournalEntries = 0
	return err
}

// passLock gives the lock of a key that holder had to who waits first. Changes of state are made when it is
// their turn, until it is that of an invocation.
func (a *application) passLock(q queue.Name, holder id.Invocation) error {
	for {
		next, found, err := queue.Leave(a.st, q, holder)
		if err != nil || !found {
			return err
		}
		if !next.IsChange() {
			return a.beginQueued(next.ID)
		}
		if err := a.takeChange(q, next.Position); err != nil {
			return err
		}
		holder = next.ID
	}
}

func (a *application) beginQueued(i id.Invocation) error {
	inv, err := a.st.Invocation(i)
	if err != nil {
		return err
	}
	if inv == nil || inv.Row.Status != storedv1.InvocationStatus_INVOCATION_STATUS_INBOXED {
		return errs.Newf(errs.Corrupt, "%s waits for a lock without a row that says so", i)
	}
	return a.begin(inv, inv.Row.Input)
}
