package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/serviceproto"
)

// Check decodes what Apply will decode of a record that another process made: one that does not decode
// parks its partition, so it must not reach the log. The kind is the caller's to check.
func Check(rec command.Record) error {
	var err error
	switch rec.Kind {
	case command.Invoke:
		err = checkInvoke(rec)
	case command.Signal, command.Respond:
		_, err = scanNotification(rec.Body)
	case command.Share:
		_, err = shareFacts(rec.Facts)
	case command.Attach:
		_, err = AttachFacts(rec.Facts)
	case command.Resume:
		err = (&storedv1.ResumeFacts{}).UnmarshalVT(rec.Facts)
	case command.Restart:
		err = checkRestart(rec)
	case command.PatchState:
		err = checkPatchState(rec)
	default: // without facts and frames, or not from outside
	}
	if err != nil {
		return errs.Newf(errs.Invalid, "a record of kind %d that does not decode: %w", rec.Kind, err)
	}
	return nil
}

func checkInvoke(rec command.Record) error {
	var facts storedv1.InvokeFacts
	if err := facts.UnmarshalVT(rec.Facts); err != nil {
		return err
	}
	if facts.Target.GetService() == "" || facts.Target.GetHandler() == "" {
		return errs.Newf(errs.Invalid, "no target")
	}
	if facts.Sink != nil {
		if _, err := invocationID(facts.Sink.GetInvocation()); err != nil {
			return err
		}
	}
	f, rest, ok, err := serviceproto.NextFrame(rec.Body, noLimit)
	if err == nil && (!ok || len(rest) != 0 || f.Type != serviceproto.TypeInput) {
		err = errs.Newf(errs.Invalid, "body of %d bytes is not one Input frame", len(rec.Body))
	}
	return err
}

func checkRestart(rec command.Record) error {
	var facts storedv1.RestartFacts
	if err := facts.UnmarshalVT(rec.Facts); err != nil {
		return err
	}
	next, err := invocationID(facts.Id)
	if err == nil && next.PartitionKey() != rec.ID.PartitionKey() {
		err = errs.Newf(errs.Invalid, "the id of the new invocation has another partition key than %s", rec.ID)
	}
	return err
}

func checkPatchState(rec command.Record) error {
	var facts storedv1.PatchStateFacts
	err := facts.UnmarshalVT(rec.Facts)
	if err == nil && id.Hash(facts.Key) != rec.ID.PartitionKey() {
		err = errs.Newf(errs.Invalid, "the key has another partition key than the request")
	}
	return err
}
