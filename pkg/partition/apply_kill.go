package partition

import (
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
	"reprise/pkg/serviceproto"
)

// applyKill ends an invocation now.
func (a *application) applyKill() error {
	return a.operate(func(inv *invocation.Invocation) (command.OutcomeStatus, error) {
		if completed(inv) {
			return command.OutcomeAlreadyCompleted, nil
		}
		return command.OutcomeAccepted, a.kill(inv)
	})
}

// kill ends an invocation that has not ended, and all that it called and that may still run. Nobody is asked.
func (a *application) kill(inv *invocation.Invocation) error {
	if !inv.Started() {
		return a.endUnstarted(inv, endedBy(killed))
	}
	left, err := a.leftOpen(inv)
	if err != nil {
		return err
	}
	for _, t := range left.timers {
		if err := a.st.DeleteTimer(t); err != nil {
			return err
		}
	}
	if err := a.complete(inv, endedBy(killed)); err != nil {
		return err
	}
	for _, callee := range left.callees {
		if err := a.killAt(callee); err != nil {
			return err
		}
	}
	return nil
}

// killAt kills an invocation here or at the partition of its key.
func (a *application) killAt(to id.Invocation) error {
	here, err := a.inPlace(to.PartitionKey(), 0)
	if err != nil {
		return err
	}
	if !here {
		return a.post(command.Header{Kind: command.Kill, ID: to}, nil, nil)
	}
	inv, err := a.st.Invocation(to)
	if err != nil || inv == nil || completed(inv) {
		return err
	}
	return a.kill(inv)
}

// open is what an invocation began and has no result of.
type open struct {
	callees []id.Invocation
	timers  []Timer
}

// leftOpen reads the journal of an invocation.
func (a *application) leftOpen(inv *invocation.Invocation) (left open, err error) {
	index, err := a.st.Journal(inv)
	if err != nil {
		return left, err
	}
	pending := map[uint32]bool{} // completions that tell the ids of callees; only ever looked up
	var bad error
	err = a.st.JournalRows(inv, func(row journal.Row) error {
		eachFrame(row.Frames, func(f serviceproto.Frame) {
			if bad == nil {
				bad = left.add(inv, index, f, pending)
			}
		})
		return bad
	})
	return left, err
}

func (left *open) add(inv *invocation.Invocation, index *journal.Index, f serviceproto.Frame, pending map[uint32]bool) error {
	switch f.Type {
	case serviceproto.TypeSleep:
		due, completion, err := serviceproto.ParseSleep(f.Payload)
		if err == nil && index.Completion(completion) == 0 {
			left.timers = append(left.timers, sleepTimer(inv, due, completion))
		}
		return err
	case serviceproto.TypeCall, serviceproto.TypeOneWayCall:
		call, err := serviceproto.ParseCall(f)
		if err == nil && (call.OneWay || index.Completion(call.ResultCompletion) == 0) {
			pending[call.InvocationIDCompletion] = true
		}
		return err
	case serviceproto.TypeCallInvocationIDCompletion:
		callee, completion, err := serviceproto.ParseInvocationID(f.Payload)
		if err == nil && pending[completion] {
			left.callees = append(left.callees, callee)
		}
		return err
	default:
		return nil
	}
}
