package partitionstore

import (
	"io"
	"slices"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
)

// Invocation returns an invocation as the last command left it, or nil. It is the object that Apply
// changes: the owner's goroutine may look at it until the next command.
func (s *Store) Invocation(i id.Invocation) (*invocation.Invocation, error) {
	e, err := s.find(i)
	if err != nil || e == nil {
		return nil, err
	}
	inv := e.inv
	if !e.touched {
		s.cache.settle(i, e)
	}
	return inv, nil
}

// OutboxTargets returns the partitions for which there are messages, in order.
func (s *Store) OutboxTargets() []id.Partition {
	var all []id.Partition
	for target, l := range s.outbox {
		if l.first <= l.last {
			all = append(all, target)
		}
	}
	slices.Sort(all)
	return all
}

// ReadInline returns the frames of inv's whole journal if they are at most journalMax bytes, else ok is
// false. With them comes user state, in the order of names, until an entry would exceed stateMax bytes;
// partial tells that there is more. stateMax 0 reads none, and is partial where there may be some. The
// frames are shared and never changed; the state is the caller's.
func (s *Store) ReadInline(inv *invocation.Invocation, journalMax, stateMax int) (frames []byte, state []StateEntry, partial, ok bool, err error) {
	index, err := s.Journal(inv)
	if err != nil {
		return nil, nil, false, false, err
	}
	if index.Bytes > int64(journalMax) {
		return nil, nil, false, false, nil
	}
	if frames, err = s.frames(inv, index); err != nil {
		return nil, nil, false, false, err
	}
	switch {
	case !inv.HasState():
	case stateMax == 0:
		partial = true
	default:
		target := inv.Row.Target
		if state, partial, err = newUserStateRows(s.view.reader(), target.GetService(), target.GetKey()).eager(stateMax); err != nil {
			return nil, nil, false, false, err
		}
	}
	return frames, state, partial, true, nil
}

func (s *Store) frames(inv *invocation.Invocation, index *journal.Index) ([]byte, error) {
	if inv.Input != nil && index.Entries == 1 {
		return inv.Input, nil
	}
	if e := s.cache.entries[inv.ID]; e != nil && e.touched { // the view may have rows of it
		if err := s.Commit(); err != nil {
			return nil, err
		}
	}
	frames := make([]byte, 0, index.Bytes)
	err := scanJournal(s.db, lifeOf(inv), func(row journal.Row) error {
		frames = append(frames, row.Frames...)
		return nil
	})
	if err == nil && int64(len(frames)) != index.Bytes {
		err = errs.Newf(errs.Corrupt, "journal of %s has %d bytes, not %d", inv.ID, len(frames), index.Bytes)
	}
	return frames, err
}

// Reader reads journal and state of one invocation row by row, on any goroutine, as they were when it was made.
type Reader struct {
	inv  *invocation.Invocation
	snap *Snapshot
	rows *JournalRows
}

// Reader returns a reader of inv. The caller closes it.
func (s *Store) Reader(inv *invocation.Invocation) (*Reader, error) {
	snap, err := s.Snapshot()
	if err != nil {
		return nil, err
	}
	shown := &invocation.Invocation{ID: inv.ID}
	shown.Row.Incarnation, shown.Row.Target = inv.Row.Incarnation, inv.Row.Target // neither changes in a life
	return &Reader{inv: shown, snap: snap}, nil
}

// State reads user state as ReadInline does.
func (r *Reader) State(limit int) (entries []StateEntry, partial bool, err error) {
	if !r.inv.HasState() || limit == 0 {
		return nil, r.inv.HasState(), nil
	}
	return r.snap.UserState(r.inv.Row.Target.GetService(), r.inv.Row.Target.GetKey()).eager(limit)
}

// Next returns the frames of the next row, borrowed until the next call; io.EOF after the last one.
func (r *Reader) Next() (frames []byte, err error) {
	if r.snap == nil {
		return nil, io.EOF
	}
	if r.rows == nil {
		r.rows = r.snap.Journal(r.inv, 0)
	}
	row, err := r.rows.Next()
	return row.Frames, err
}

// Close gives the snapshot back. It is idempotent.
func (r *Reader) Close() error {
	if r.snap == nil {
		return nil
	}
	var err error
	if r.rows != nil {
		err = r.rows.Close()
	}
	if cerr := r.snap.Close(); err == nil {
		err = cerr
	}
	r.snap, r.rows = nil, nil
	return err
}
