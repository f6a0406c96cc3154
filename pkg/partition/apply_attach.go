package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/serviceproto"
)

const (
	unknownTargetCode = 404
	unknownTarget     = "not found"
)

// applyAttach takes an AttachInvocation or a GetInvocationOutput command of an invocation in another partition.
func (a *application) applyAttach() error {
	c, err := AttachFacts(a.rec.Facts)
	if err != nil {
		return a.badFacts(err)
	}
	return a.attach(a.rec.ID, c)
}

// AttachFacts decodes the facts of an Attach record, wholly.
func AttachFacts(b []byte) (*storedv1.AttachFacts, error) {
	c := &storedv1.AttachFacts{}
	if err := c.UnmarshalVT(b); err != nil {
		return nil, err
	}
	_, err := invocationID(c.Sink.GetInvocation())
	return c, err
}

// applyAttachCommand asks for the result of an invocation, here or at the partition of its key.
func (a *application) applyAttachCommand(f serviceproto.Frame) error {
	to, completion, err := serviceproto.ParseAttach(f)
	if err != nil {
		return err
	}
	facts := &storedv1.AttachFacts{Sink: a.step.sink(completion), Output: f.Type == serviceproto.TypeGetInvocationOutput}
	facts.Sink.Attached = true
	here, err := a.inPlace(to.PartitionKey(), 0)
	if err != nil {
		return err
	}
	if here {
		return a.attach(to, facts)
	}
	return a.post(command.Header{Kind: command.Attach, ID: to}, facts, nil)
}

// attach answers what is known of an invocation, or has who asks wait until it ends.
func (a *application) attach(to id.Invocation, c *storedv1.AttachFacts) error {
	inv, err := a.st.Invocation(to)
	if err != nil {
		return err
	}
	outcome := Lookup(inv)
	result := outcome.Result
	if outcome.Status == command.OutcomeNotFound {
		result = &storedv1.Result{Result: &storedv1.Result_Failure{Failure: &storedv1.Failure{Code: unknownTargetCode, Message: unknownTarget}}}
	}
	const output = serviceproto.TypeGetInvocationOutputCompletion
	switch {
	case result != nil && c.Output:
		return a.reply(c.Sink, serviceproto.AppendResult(nil, output, c.Sink.CompletionId, result))
	case result != nil:
		return a.respond(c.Sink, result)
	case c.Output:
		return a.reply(c.Sink, serviceproto.AppendVoid(nil, output, c.Sink.CompletionId))
	default:
		return a.await(inv, c.Sink)
	}
}

// await has an invocation wait for the end of inv.
func (a *application) await(inv *invocation.Invocation, sink *storedv1.Sink) error {
	inv.Row.Sinks = append(inv.Row.Sinks, sink)
	inv.Row.ModifiedAtMs = a.now
	return a.st.PutInvocation(inv)
}
