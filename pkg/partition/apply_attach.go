package partition

import (
	"errors"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/serviceproto"
)

const (
	notFoundCode = 404
	notFound     = "not found"
)

// applyAttach takes an AttachInvocation or a GetInvocationOutput command of an invocation in another partition.
func (a *application) applyAttach() error {
	var c storedv1.AttachFacts
	if err := c.UnmarshalVT(a.rec.Facts); err != nil {
		return a.badFacts(err)
	}
	if c.Sink == nil {
		return a.badFacts(errors.New("nobody asks"))
	}
	return a.attach(a.rec.ID, &c)
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
		result = &storedv1.Result{Result: &storedv1.Result_Failure{Failure: &storedv1.Failure{Code: notFoundCode, Message: notFound}}}
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
func (a *application) await(inv *invocation.Invocation, sink *storedv1.Sink) (err error) {
	if inv.Row.Sinks, err = a.addSink(inv.Row.Sinks, sink); err != nil {
		return err
	}
	inv.Row.ModifiedAtMs = a.now
	return a.st.PutInvocation(inv)
}

// sinksLooked is how many may wait for one thing before anybody looks whether they still do.
const sinksLooked = 16

// addSink adds one that waits. Those who gave up, as a handler does that races a promise against a
// timer, must not pile up: each time the list has doubled, the ones that ended are dropped.
func (a *application) addSink(list []*storedv1.Sink, sink *storedv1.Sink) ([]*storedv1.Sink, error) {
	if n := len(list); n >= sinksLooked && n&(n-1) == 0 {
		kept := make([]*storedv1.Sink, 0, n)
		for _, s := range list {
			waits, err := a.waits(s)
			if err != nil {
				return nil, err
			}
			if waits {
				kept = append(kept, s)
			}
		}
		list = kept
	}
	return append(list, sink), nil
}

// waits tells whether the life of the invocation behind a sink goes on, as far as it is known here.
func (a *application) waits(sink *storedv1.Sink) (bool, error) {
	i, err := invocationID(sink.Invocation)
	if err != nil || !a.own(i.PartitionKey()) {
		return true, err
	}
	inv, err := a.st.Invocation(i)
	if err != nil {
		return false, err
	}
	return inv != nil && inv.Row.Incarnation == sink.Incarnation &&
		inv.Row.Status != storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED, nil
}
