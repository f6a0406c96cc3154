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

func (a *application) promise(name string) Promise {
	service, key := a.object()
	return Promise{Service: service, Key: key, Name: name}
}

// applyGetPromise tells what a promise was completed with. Who gets one that is not completed waits; who
// peeks learns that.
func (a *application) applyGetPromise(f serviceproto.Frame) error {
	name, completion, err := serviceproto.ParsePromise(f)
	if err != nil {
		return err
	}
	p := a.promise(name)
	row, err := a.st.Promise(p)
	if err != nil {
		return err
	}
	peek := f.Type == serviceproto.TypePeekPromise
	switch {
	case row.GetResult() != nil && peek:
		a.step.answered(serviceproto.TypePeekPromiseCompletion, completion, row.Result)
		return nil
	case row.GetResult() != nil:
		a.step.answered(serviceproto.TypeGetPromiseCompletion, completion, row.Result)
		return nil
	case peek:
		a.step.completed(completion, serviceproto.AppendVoid(nil, serviceproto.TypePeekPromiseCompletion, completion))
		return nil
	case row == nil:
		row = &storedv1.Promise{}
	}
	return a.awaitPromise(p, row, a.step.sink(completion))
}

// waitersLooked is how many may wait for a promise before anybody looks whether they still do.
const waitersLooked = 16

// awaitPromise adds one that waits. Those who gave up, as a handler does that races a promise against a
// timer, must not pile up: each time their number has doubled, the ones that ended are dropped.
func (a *application) awaitPromise(p Promise, row *storedv1.Promise, sink *storedv1.Sink) error {
	if n := row.Waiting; n >= waitersLooked && n&(n-1) == 0 {
		var over []uint64
		err := a.st.Waiters(p, func(number uint64, s *storedv1.Sink) error {
			waits, err := a.waits(s)
			if !waits {
				over = append(over, number)
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, number := range over {
			if err := a.st.DeleteWaiter(p, number); err != nil {
				return err
			}
		}
		row.Waiting -= uint64(len(over))
	}
	if err := a.st.PutWaiter(p, row.Next, sink); err != nil {
		return err
	}
	row.Waiting++
	row.Next++
	return a.st.SetPromise(p, row)
}

// waits tells whether the life of the invocation behind a sink goes on.
func (a *application) waits(sink *storedv1.Sink) (bool, error) {
	i, err := invocationID(sink.Invocation)
	if err != nil {
		return false, err
	}
	inv, err := a.st.Invocation(i)
	if err != nil {
		return false, err
	}
	return inv != nil && inv.Row.Incarnation == sink.Incarnation &&
		inv.Row.Status != storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED, nil
}

// applyCompletePromise completes a promise, once. Who completes it is told first, then those who wait.
func (a *application) applyCompletePromise(f serviceproto.Frame) error {
	c, err := serviceproto.ParseCompletePromise(f.Payload)
	if err != nil {
		return err
	}
	p := a.promise(c.Promise)
	row, err := a.st.Promise(p)
	if err != nil {
		return err
	}
	if row.GetResult() != nil {
		taken := &storedv1.Failure{Code: promiseTakenCode, Message: promiseTaken}
		a.step.answered(serviceproto.TypeCompletePromiseCompletion, c.Completion, &storedv1.Result{Result: &storedv1.Result_Failure{Failure: taken}})
		return nil
	}
	if err := a.st.SetPromise(p, &storedv1.Promise{Result: c.Result}); err != nil {
		return err
	}
	a.step.completed(c.Completion, serviceproto.AppendVoid(nil, serviceproto.TypeCompletePromiseCompletion, c.Completion))
	if row.GetWaiting() == 0 {
		return nil
	}
	return a.settlePromise(p, c.Result)
}

// settlePromise tells all who wait for a promise.
func (a *application) settlePromise(p Promise, result *storedv1.Result) error {
	var waiting []*storedv1.Sink
	err := a.st.Waiters(p, func(_ uint64, s *storedv1.Sink) error {
		waiting = append(waiting, s)
		return nil
	})
	if err != nil {
		return err
	}
	if err := a.st.DropWaiters(p); err != nil {
		return err
	}
	return a.share(waiting, &storedv1.ShareFacts{Result: result, Promise: true})
}
