package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/serviceproto"
)

// share hands a result to all who wait for it: here, or with a message to their partition that holds it once,
// unless it is so long that their journals, which each hold it, should not grow in one command.
func (a *application) share(sinks []*storedv1.Sink, what *storedv1.ShareFacts) error {
	if a.meta.Version < VersionShares {
		return a.shareEach(sinks, what)
	}
	var targets []id.Partition // in the order of sinks
	left := map[id.Partition][]*storedv1.Sink{}
	for _, sink := range sinks {
		to, err := invocationID(sink.Invocation)
		if err != nil {
			return err
		}
		here, err := a.inPlace(to.PartitionKey(), what.Result.SizeVT())
		if err != nil {
			return err
		}
		if here {
			if err := a.tell(to, sink, what); err != nil {
				return err
			}
			continue
		}
		target := id.PartitionOf(to.PartitionKey(), a.meta.Partitions)
		if left[target] == nil {
			targets = append(targets, target)
		}
		left[target] = append(left[target], sink)
	}
	for _, target := range targets {
		if err := a.postShares(left[target], what); err != nil {
			return err
		}
	}
	return nil
}

// shareEach hands it to one after the other, as version 0 has it.
func (a *application) shareEach(sinks []*storedv1.Sink, what *storedv1.ShareFacts) error {
	for _, sink := range sinks {
		if err := a.reply(sink, completion(sink, what)); err != nil {
			return err
		}
	}
	return nil
}

// postShares posts a result for invocations of one partition.
func (a *application) postShares(sinks []*storedv1.Sink, what *storedv1.ShareFacts) error {
	most := min(chainStepsMax, max(chainBytesMax/max(what.Result.SizeVT(), 1), 1))
	for len(sinks) > 0 {
		n := min(len(sinks), most)
		first := sinks[0]
		to, err := invocationID(first.Invocation)
		if err != nil {
			return err
		}
		if n == 1 {
			err = a.post(command.Header{Kind: command.Respond, ID: to, Incarnation: lsn.LSN(first.Incarnation)}, nil, completion(first, what))
		} else {
			err = a.post(command.Header{Kind: command.Share, ID: to}, &storedv1.ShareFacts{Result: what.Result, Sinks: sinks[:n], Promise: what.Promise}, nil)
		}
		if err != nil {
			return err
		}
		sinks = sinks[n:]
	}
	return nil
}

// applyShare hands a result of another partition, or of a command that had done enough, to those who wait.
func (a *application) applyShare() error {
	what, err := shareFacts(a.rec.Facts)
	if err != nil {
		return a.badFacts(err)
	}
	for _, sink := range what.Sinks {
		to, err := invocationID(sink.Invocation)
		if err != nil {
			return a.badFacts(err)
		}
		if err := a.tell(to, sink, what); err != nil {
			return err
		}
	}
	return nil
}

func shareFacts(b []byte) (*storedv1.ShareFacts, error) {
	what := &storedv1.ShareFacts{}
	if err := what.UnmarshalVT(b); err != nil {
		return nil, err
	}
	if what.Result.GetResult() == nil || len(what.Sinks) == 0 {
		return nil, errs.Newf(errs.Corrupt, "a result that is not there, or for nobody")
	}
	for _, sink := range what.Sinks {
		if _, err := invocationID(sink.GetInvocation()); err != nil {
			return nil, err
		}
	}
	return what, nil
}

// tell hands a result to an invocation of this partition, if that life of it waits.
func (a *application) tell(to id.Invocation, sink *storedv1.Sink, what *storedv1.ShareFacts) error {
	_, err := a.notify(to, lsn.LSN(sink.Incarnation), completion(sink, what))
	return err
}

func completion(sink *storedv1.Sink, what *storedv1.ShareFacts) []byte {
	t := serviceproto.TypeCallCompletion
	switch {
	case what.Promise:
		t = serviceproto.TypeGetPromiseCompletion
	case sink.Attached:
		t = serviceproto.TypeAttachInvocationCompletion
	}
	return serviceproto.AppendResult(nil, t, sink.CompletionId, what.Result)
}
