package logserver

import (
	"context"
	"slices"

	"reprise/pkg/errs"
	"reprise/pkg/logproto"
	"reprise/pkg/logstore"
	"reprise/pkg/lsn"
)

// Info tells what is known of a loglet.
func (s *Server) Info(_ context.Context, ref logproto.Ref) (logproto.Info, error) {
	lg, err := s.get(ref.Loglet)
	if err != nil {
		return logproto.Info{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return lg.seen.Info(ref), nil
}

// WaitForTail answers once the loglet is sealed or a tail is reached.
func (s *Server) WaitForTail(ctx context.Context, w logproto.TailWait) (logproto.Info, error) {
	lg, err := s.get(w.Loglet)
	if err != nil {
		return logproto.Info{}, err
	}
	for {
		s.mu.Lock()
		info := lg.seen.Info(w.Ref)
		reached := info.Status != logproto.Ok || info.Sealed ||
			w.Tail != 0 && info.Tail >= w.Tail || w.Known != 0 && info.Known >= w.Known
		if !reached && lg.changed == nil {
			lg.changed = make(chan struct{})
		}
		changed := lg.changed
		s.mu.Unlock()
		if reached {
			return info, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return info, errs.With(errs.Unavailable, context.Cause(ctx))
		}
	}
}

// view is what a read may show.
type view struct {
	seen     logproto.Replica // from before the reader was made
	trimmed  lsn.Offset       // from after
	unsynced []logproto.Range // from after: what the reader may see too early
	reader   *logstore.Reader
}

// look makes a view. The tail is read before the store is, so that all below it is in the reader; what
// is written and not synced is asked after, so that all of it that is in the reader is in unsynced.
func (s *Server) look(ref logproto.Ref) (v view, err error) {
	lg, err := s.get(ref.Loglet)
	if err != nil {
		return v, err
	}
	s.mu.Lock()
	v.seen = lg.seen
	s.mu.Unlock()
	if v.reader, err = s.store.Reader(ref.Loglet); err != nil {
		return v, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v.trimmed = lg.seen.Trimmed
	v.unsynced = slices.Clone(lg.unsynced)
	return v, nil
}

// Records returns records of [r.From, r.To) that are here.
func (s *Server) Records(_ context.Context, r logproto.RecordsRequest) (a logproto.RecordsAnswer, err error) {
	if r.From < lsn.FirstOffset || r.To <= r.From {
		return logproto.RecordsAnswer{Status: logproto.Malformed}, nil
	}
	v, err := s.look(r.Ref)
	if err != nil {
		return a, err
	}
	defer errs.CloseInto(&err, v.reader)
	info := v.seen.Info(r.Ref)
	a = logproto.RecordsAnswer{Status: info.Status, Tail: info.Tail, Known: info.Known}
	if info.Status != logproto.Ok {
		return a, nil
	}
	a.Trimmed = v.trimmed
	from, to := max(r.From, a.Trimmed+1), min(r.To, info.Tail)
	a.Next = max(from, to)
	if from >= to {
		return a, nil
	}
	limit := min(max(r.BytesMax, 1), s.cfg.ReadBytesMax)
	bytes := 0
	err = v.each(from, to, func(run logproto.Run) bool {
		if bytes > 0 && bytes+len(run.Records) > limit {
			a.Next = run.First
			return false
		}
		bytes += len(run.Records)
		run.Records = slices.Clone(run.Records)
		a.Groups = append(a.Groups, run)
		return true
	})
	s.metrics.read(bytes)
	return a, err
}

// each is Reader.Each without what is not synced.
func (v *view) each(from, to lsn.Offset, f func(logproto.Run) bool) error {
	return v.reader.Each(from, to, func(run logproto.Run) (bool, error) {
		if len(v.unsynced) == 0 {
			return f(run), nil
		}
		for _, part := range missing(logproto.Range{From: run.First, To: run.End()}, v.unsynced) {
			cut, err := logstore.Cut(run, part.From, part.To)
			if err != nil {
				return false, err
			}
			if !f(cut) {
				return false, nil
			}
		}
		return true, nil
	})
}

// Digest tells which of the offsets [r.From, r.To) are here.
func (s *Server) Digest(_ context.Context, r logproto.DigestRequest) (a logproto.DigestAnswer, err error) {
	if r.From < lsn.FirstOffset || r.To < r.From {
		return logproto.DigestAnswer{Status: logproto.Malformed}, nil
	}
	v, err := s.look(r.Ref)
	if err != nil {
		return a, err
	}
	defer errs.CloseInto(&err, v.reader)
	info := v.seen.Info(r.Ref)
	a = logproto.DigestAnswer{Status: info.Status, Tail: info.Tail, Known: info.Known}
	if info.Status != logproto.Ok {
		return a, nil
	}
	a.Trimmed = v.trimmed
	from, to := max(r.From, a.Trimmed+1), min(r.To, info.Tail)
	if from >= to {
		return a, nil
	}
	found, err := v.reader.Ranges(from, to, nil)
	if err != nil {
		return a, err
	}
	for _, f := range found {
		a.Exists = append(a.Exists, missing(f, v.unsynced)...)
	}
	return a, nil
}
