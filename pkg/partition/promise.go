package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/serviceproto"
)

// A durable promise belongs to the key of a workflow, and so to the partition of everyone who may ask for it.

const (
	promiseTakenCode = 409
	promiseTaken     = "promise was already completed"
)

// applyGetPromise tells what a promise was completed with. Who gets one that is not completed waits; who
// peeks learns that.
func (a *application) applyGetPromise(f serviceproto.Frame) error {
	name, completion, err := serviceproto.ParsePromise(f)
	if err != nil {
		return err
	}
	service, key := a.object()
	p, err := a.st.Promise(service, key, name)
	if err != nil {
		return err
	}
	peek := f.Type == serviceproto.TypePeekPromise
	switch {
	case p.GetResult() != nil && peek:
		a.step.answered(serviceproto.TypePeekPromiseCompletion, completion, p.Result)
		return nil
	case p.GetResult() != nil:
		a.step.answered(serviceproto.TypeGetPromiseCompletion, completion, p.Result)
		return nil
	case peek:
		a.step.completed(completion, serviceproto.AppendVoid(nil, serviceproto.TypePeekPromiseCompletion, completion))
		return nil
	case p == nil:
		p = &storedv1.Promise{}
	}
	if p.Waiting, err = a.addSink(p.Waiting, a.step.sink(completion)); err != nil {
		return err
	}
	return a.st.SetPromise(service, key, name, p)
}

// applyCompletePromise completes a promise, once. Who completes it is told first, then those who wait.
func (a *application) applyCompletePromise(f serviceproto.Frame) error {
	c, err := serviceproto.ParseCompletePromise(f.Payload)
	if err != nil {
		return err
	}
	service, key := a.object()
	p, err := a.st.Promise(service, key, c.Promise)
	if err != nil {
		return err
	}
	if p.GetResult() != nil {
		taken := &storedv1.Failure{Code: promiseTakenCode, Message: promiseTaken}
		a.step.answered(serviceproto.TypeCompletePromiseCompletion, c.Completion, &storedv1.Result{Result: &storedv1.Result_Failure{Failure: taken}})
		return nil
	}
	if err := a.st.SetPromise(service, key, c.Promise, &storedv1.Promise{Result: c.Result}); err != nil {
		return err
	}
	a.step.completed(c.Completion, serviceproto.AppendVoid(nil, serviceproto.TypeCompletePromiseCompletion, c.Completion))
	for _, sink := range p.GetWaiting() {
		if err := a.reply(sink, serviceproto.AppendResult(nil, serviceproto.TypeGetPromiseCompletion, sink.CompletionId, c.Result)); err != nil {
			return err
		}
	}
	return nil
}
