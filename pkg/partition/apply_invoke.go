package partition

import (
	"bytes"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
)

// creation asks for an invocation.
type creation struct {
	id    id.Invocation
	facts *storedv1.InvokeFacts // its parts are kept
	input []byte                // its Input frame
	owned bool                  // input may be kept; else it is borrowed from the record
}

// accepted answers the plain case of an invocation that was created and starts at once.
var accepted = &command.Outcome{Status: command.OutcomeAccepted}

func (a *application) applyInvoke() error {
	var facts storedv1.InvokeFacts
	if err := facts.UnmarshalVT(a.rec.Facts); err != nil {
		return a.badFacts(err)
	}
	at := len(a.effects)
	a.answer(accepted)
	outcome, err := a.invoke(creation{id: a.rec.ID, facts: &facts, input: a.rec.Body})
	if err != nil {
		return err
	}
	a.effects[at].Outcome = outcome
	return nil
}

// invoke creates an invocation unless one with its id is there. Whoever waits for it is joined to the one there.
func (a *application) invoke(c creation) (*command.Outcome, error) {
	inv, err := a.st.Invocation(c.id)
	if err != nil {
		return nil, err
	}
	if inv != nil && inv.Hidden() && !repeats(inv, c.facts) {
		if err := a.forget(inv); err != nil {
			return nil, err
		}
		inv = nil
	}
	if inv != nil {
		return a.join(inv, c.facts)
	}
	fresh := &struct { // one allocation for both
		inv   invocation.Invocation
		index journal.Index
	}{}
	inv = &fresh.inv
	inv.ID, inv.Journal = c.id, &fresh.index
	row := &inv.Row
	row.Incarnation, row.CreatedAtMs = a.lsn(), a.now
	row.Target, row.IdempotencyKey = c.facts.Target, c.facts.IdempotencyKey
	row.CompletionRetentionMs, row.JournalRetentionMs = c.facts.CompletionRetentionMs, c.facts.JournalRetentionMs
	row.CallerId, row.CallerTarget = c.facts.CallerId, c.facts.CallerTarget
	row.TraceParent, row.TraceState = c.facts.TraceParent, c.facts.TraceState
	row.Request = c.facts.Request
	row.ExecuteAtMs = max(c.facts.ExecuteAtMs, 0)
	if c.facts.Sink != nil {
		row.Sinks = []*storedv1.Sink{c.facts.Sink}
	}
	input := c.input
	if !c.owned {
		input = append(make([]byte, 0, len(input)), input...)
	}
	if row.ExecuteAtMs > a.now {
		if err := a.schedule(inv, input); err != nil {
			return nil, err
		}
		return &command.Outcome{Status: command.OutcomeAccepted, ExecuteAt: row.ExecuteAtMs}, nil
	}
	if err := a.admit(inv, input); err != nil {
		return nil, err
	}
	if row.ExecuteAtMs != 0 {
		return &command.Outcome{Status: command.OutcomeAccepted, ExecuteAt: row.ExecuteAtMs}, nil
	}
	return accepted, nil
}

const (
	workflowTaken     = "the workflow method was already invoked"
	workflowTakenCode = 409
)

// repeats tells whether a request is the one that created the invocation, sent again. A request with an id
// that the ingress made up says nothing more of itself: nobody else can have that id.
func repeats(inv *invocation.Invocation, facts *storedv1.InvokeFacts) bool {
	return bytes.Equal(facts.Request, inv.Row.Request) && len(facts.CallerId) == 0 && fromOutside(&inv.Row)
}

// join answers a request for an invocation that is there.
func (a *application) join(inv *invocation.Invocation, facts *storedv1.InvokeFacts) (*command.Outcome, error) {
	outcome := known(inv)
	if len(facts.Request) > 0 && repeats(inv, facts) {
		return repeated(outcome), nil
	}
	outcome.Workflow = facts.Target.GetHandlerType() == storedv1.HandlerType_HANDLER_TYPE_WORKFLOW
	if outcome.Status == command.OutcomePending {
		outcome.Status = command.OutcomePreviouslyAccepted
	}
	sink := facts.Sink
	switch {
	case sink == nil:
		return outcome, nil
	case outcome.Workflow:
		failure := &storedv1.Failure{Code: workflowTakenCode, Message: workflowTaken}
		return outcome, a.respond(sink, &storedv1.Result{Result: &storedv1.Result_Failure{Failure: failure}})
	case outcome.Status == command.OutcomeCompleted:
		return outcome, a.respond(sink, inv.Row.Result)
	default:
		return outcome, a.await(inv, sink)
	}
}

// repeated is the outcome for the request that created the invocation, when it comes again because its
// first answer was lost: the one that it would have got then.
func repeated(o *command.Outcome) *command.Outcome {
	if o.Status == command.OutcomePending {
		o.Status = command.OutcomeAccepted
	}
	o.Stored, o.ExpiresAt = false, 0
	return o
}

// known is the outcome for someone who asks about an invocation.
func known(inv *invocation.Invocation) *command.Outcome {
	row := &inv.Row
	o := &command.Outcome{Status: command.OutcomePending, ExecuteAt: row.ExecuteAtMs, Target: row.Target}
	if row.Status == storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED {
		o.Status, o.Result, o.Stored = command.OutcomeCompleted, row.Result, true
		o.ExpiresAt = row.CompletedAtMs + row.CompletionRetentionMs
	}
	return o
}
