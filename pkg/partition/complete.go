package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
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
	a.emit(Effect{Kind: EffectCompleted, ID: inv.ID, Outcome: &command.Outcome{
		Status: command.OutcomeCompleted, ExecuteAt: row.ExecuteAtMs, Target: row.Target, Result: result,
	}})
	if err := a.retain(inv); err != nil {
		return err
	}
	for _, sink := range sinks {
		if err := a.respond(sink, result); err != nil {
			return err
		}
	}
	if !held {
		return nil
	}
	return a.passLock(inv)
}

// retain keeps the row and the journal for as long as was asked, else drops them.
func (a *application) retain(inv *invocation.Invocation) error {
	row := &inv.Row
	// A request that came from outside may be sent again for a while: then it must find its answer.
	keepRow := row.CompletionRetentionMs > 0 || len(row.CallerId) == 0
	keepJournal := keepRow && row.JournalRetentionMs > 0
	index, err := a.st.Journal(inv)
	if err != nil {
		return err
	}
	if keepJournal {
		row.JournalEntries = index.Entries
	} else if err := a.st.DropJournal(inv); err != nil {
		return err
	}
	inv.Input = nil
	if keepRow {
		return a.st.PutInvocation(inv)
	}
	if err := a.dropWorkflow(inv); err != nil {
		return err
	}
	return a.st.DeleteInvocation(inv)
}

// dropWorkflow drops what belongs to the key of a workflow whose run is forgotten.
func (a *application) dropWorkflow(inv *invocation.Invocation) error {
	t := inv.Row.Target
	if t.GetHandlerType() != storedv1.HandlerType_HANDLER_TYPE_WORKFLOW {
		return nil
	}
	if err := a.st.ClearPromises(t.GetService(), t.GetKey()); err != nil {
		return err
	}
	return a.st.ClearAllUserState(t.GetService(), t.GetKey())
}

// passLock starts the first that waits for the lock that inv held.
func (a *application) passLock(inv *invocation.Invocation) error {
	next, found, err := queue.Leave(a.st, queueOf(inv), inv.ID)
	if err != nil || !found {
		return err
	}
	waiting, err := a.st.Invocation(next)
	if err != nil {
		return err
	}
	if waiting == nil || waiting.Row.Status != storedv1.InvocationStatus_INVOCATION_STATUS_INBOXED {
		return errs.Newf(errs.Corrupt, "%s waits for a lock without a row that says so", next)
	}
	return a.begin(waiting, waiting.Row.Input)
}
