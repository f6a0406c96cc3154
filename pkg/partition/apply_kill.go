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
	callees, err := a.openCallees(inv)
	if err != nil {
		return err
	}
	if err := a.complete(inv, endedBy(killed)); err != nil {
		return err
	}
	for _, callee := range callees {
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

// openCallees reads from the journal of an invocation whom it called and has no result of.
func (a *application) openCallees(inv *invocation.Invocation) ([]id.Invocation, error) {
	index, err := a.st.Journal(inv)
	if err != nil {
		return nil, err
	}
	open := openCalls{index: index, pending: map[uint32]bool{}}
	var bad error
	err = a.st.JournalRows(inv, func(row journal.Row) error {
		eachFrame(row.Frames, func(f serviceproto.Frame) {
			if bad == nil {
				bad = open.add(f)
			}
		})
		return bad
	})
	return open.callees, err
}

type openCalls struct {
	index   *journal.Index
	pending map[uint32]bool // completions that tell the ids of callees; only ever looked up
	callees []id.Invocation
}

func (o *openCalls) add(f serviceproto.Frame) error {
	switch f.Type {
	case serviceproto.TypeCall, serviceproto.TypeOneWayCall:
		call, err := serviceproto.ParseCall(f)
		if err == nil && (call.OneWay || o.index.Completion(call.ResultCompletion) == 0) {
			o.pending[call.InvocationIDCompletion] = true
		}
		return err
	case serviceproto.TypeCallInvocationIDCompletion:
		callee, completion, err := serviceproto.ParseInvocationID(f.Payload)
		if err == nil && o.pending[completion] {
			o.callees = append(o.callees, callee)
		}
		return err
	default:
		return nil
	}
}
