package metastore

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
)

// Trim writes that nobody needs the records of a log up to through, and takes the segments before index first off its chain.
// Those must have no other records; the last segment stays. Neither ever goes back. It is written if leader, holders and
// chain are those of was: who judged what is needed judged by them. errs.Conflict: they are not, read again.
func (s *Store) Trim(ctx context.Context, p id.Partition, was Lineage, through lsn.LSN, first uint32) (Lineage, error) {
	next, err := trimmed(p, was.Chain, through, first)
	if err != nil {
		return Lineage{}, err
	}
	if proto.Equal(next, was.Chain) {
		return was, nil
	}
	writes, err := s.trimWrites(p, was, next)
	if err != nil {
		return Lineage{}, err
	}
	conds := []Cond{{Key: s.keys.epoch(p), Modified: was.epochRevision}, {Key: s.keys.chain(p), Modified: was.chainRevision}}
	var now Lineage
	err = s.tries(ctx, slowTry, func(ctx context.Context) error {
		ok, _, err := s.kv.Txn(ctx, conds, writes)
		if err != nil {
			return err
		}
		if now, _, err = s.lineage(ctx, p, 0); err != nil {
			return err
		}
		if !ok && !proto.Equal(now.Chain, next) { // else an earlier try did it
			return errs.Newf(errs.Conflict, "the log has another leader, other holders or another chain")
		}
		return nil
	})
	if err != nil {
		return Lineage{}, fmt.Errorf("trim log %d: %w", p, err)
	}
	return now, nil
}

// trimmed returns the chain as it shall be.
func trimmed(p id.Partition, was *storedv1.Chain, through lsn.LSN, first uint32) (*storedv1.Chain, error) {
	next := &storedv1.Chain{
		Segments: was.GetSegments(), Pages: was.GetPages(), Trimmed: max(was.GetTrimmed(), uint64(through)), FirstIndex: was.GetFirstIndex(), FirstPage: was.GetFirstPage(),
	}
	for len(next.Segments) > 0 && next.Segments[0].Index < first {
		if len(next.Segments) == 1 || next.Segments[1].Base > next.Trimmed+1 {
			return nil, errs.Newf(errs.Internal, "trim log %d: segment %d has records behind %d", p, next.Segments[0].Index, next.Trimmed)
		}
		next.Segments = next.Segments[1:]
		next.FirstIndex = next.Segments[0].Index
	}
	if len(next.Segments) == 0 {
		return nil, errs.Newf(errs.Invalid, "trim log %d: nothing was ever written", p)
	}
	return next, nil
}

// trimWrites deletes the pages of which nothing is left, and writes the key of the chain.
func (s *Store) trimWrites(p id.Partition, was Lineage, next *storedv1.Chain) ([]Write, error) {
	gone := len(was.Chain.Segments) - len(next.Segments)
	left := max(was.paged-gone, 0) // segments in pages
	next.FirstPage = next.Pages - uint32((left+pageSegments-1)/pageSegments)
	var writes []Write
	for page := was.Chain.FirstPage; page < next.FirstPage && len(writes) < TxnOpsMax-1; page++ {
		writes = append(writes, Write{Key: s.keys.page(p, page), Delete: true})
	}
	next.FirstPage = was.Chain.FirstPage + uint32(len(writes)) // the rest goes the next time
	tail := proto.CloneOf(next)
	tail.Segments = next.Segments[left:]
	w, err := put(s.keys.chain(p), tail)
	return append(writes, w), err
}
