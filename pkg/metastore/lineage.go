package metastore

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
)

// A chain key holds at least tailSegments and, once pageSegments more came together, these move to a
// page: the value that each take-over rewrites stays small for ever.
const (
	pageSegments = 32
	tailSegments = 16
)

// Lineage is who leads a partition, together with its log's chain, as one quorum read saw them.
type Lineage struct {
	Epoch *storedv1.Epoch // epoch 0: nobody has led yet
	Chain *storedv1.Chain // all segments, also those in pages

	epochRevision, chainRevision int64
}

// Lineage reads through a quorum, in short tries until ctx ends.
func (s *Store) Lineage(ctx context.Context, p id.Partition) (l Lineage, err error) {
	err = s.tries(ctx, leadTry, func(ctx context.Context) (err error) {
		l, _, err = s.lineage(ctx, p, 0)
		return err
	})
	if err != nil {
		return Lineage{}, fmt.Errorf("lineage of partition %d: %w", p, err)
	}
	return l, nil
}

// lineage reads, in the same moment, the newest generation of a node.
func (s *Store) lineage(ctx context.Context, p id.Partition, n id.Node) (Lineage, uint32, error) {
	got, _, err := s.kv.Read(ctx, Range{Key: s.keys.epoch(p)}, Range{Key: s.keys.chain(p)}, Range{Key: s.keys.pages(p), Prefix: true}, Range{Key: s.keys.generation(n)})
	if err != nil {
		return Lineage{}, 0, err
	}
	l := Lineage{Epoch: &storedv1.Epoch{}, Chain: &storedv1.Chain{}}
	if l.epochRevision, err = decode(got[0], l.Epoch); err != nil {
		return Lineage{}, 0, err
	}
	tail := &storedv1.Chain{}
	if l.chainRevision, err = decode(got[1], tail); err != nil {
		return Lineage{}, 0, err
	}
	if len(got[2]) != int(tail.Pages) {
		return Lineage{}, 0, errs.Newf(errs.Corrupt, "chain of partition %d has %d pages, found %d", p, tail.Pages, len(got[2]))
	}
	for i := range got[2] {
		page := &storedv1.Chain{}
		if _, err := decode(got[2][i:i+1], page); err != nil {
			return Lineage{}, 0, err
		}
		l.Chain.Segments = append(l.Chain.Segments, page.Segments...)
	}
	l.Chain.Segments = append(l.Chain.Segments, tail.Segments...)
	l.Chain.Pages = tail.Pages
	generation, _, err := generationIn(got[3], s.keys.generation(n))
	return l, generation, err
}

// TakeOver makes me the leader: in one transaction, which compares the epoch, the chain and my own
// generation, it writes the next epoch and the chain with my loglet as its last segment. It tries
// until ctx ends; a repeat is safe, for only one can find the old revisions, and the one that finds
// its own epoch and segment in place has won.
//
// errs.Conflict: another came first, read again. errs.Fenced: a newer process of this node has
// started. errs.Unavailable: nothing happened. errs.Uncertain: ctx ended before the outcome was known;
// read the lineage before anything else.
func (s *Store) TakeOver(ctx context.Context, p id.Partition, was Lineage, next *storedv1.Epoch, chain *storedv1.Chain, me id.GenerationalNode) (Lineage, error) {
	if err := checkTakeOver(was, next, chain, me); err != nil {
		return Lineage{}, fmt.Errorf("take over partition %d: %w", p, err)
	}
	writes, err := s.chainWrites(p, was.Chain.GetPages(), chain)
	if err != nil {
		return Lineage{}, err
	}
	w, err := put(s.keys.epoch(p), next)
	if err != nil {
		return Lineage{}, err
	}
	writes = append(writes, w)
	conds := []Cond{
		{Key: s.keys.epoch(p), Modified: was.epochRevision},
		{Key: s.keys.chain(p), Modified: was.chainRevision},
		{Key: s.keys.generation(me.Node), Value: decimal(me.Generation)},
	}
	var now Lineage
	err = s.tries(ctx, leadTry, func(tctx context.Context) error {
		ok, _, err := s.kv.Txn(tctx, conds, writes)
		if err != nil {
			return err
		}
		var generation uint32
		err = s.tries(ctx, leadTry, func(ctx context.Context) (err error) { // on their own: the member asked next may be one that hangs
			now, generation, err = s.lineage(ctx, p, me.Node)
			return err
		})
		if err != nil {
			return errs.With(errs.Uncertain, err)
		}
		last := chain.Segments[len(chain.Segments)-1]
		mine := len(now.Chain.Segments) > 0 && proto.Equal(now.Chain.Segments[len(now.Chain.Segments)-1], last) && now.Epoch.Epoch == next.Epoch
		switch {
		case mine:
			return nil
		case generation != me.Generation:
			return errs.Newf(errs.Fenced, "generation %d of this node has started", generation)
		case ok:
			return errs.Newf(errs.Conflict, "epoch %d followed at once", now.Epoch.Epoch)
		default:
			return errs.Newf(errs.Conflict, "epoch is %d, was %d", now.Epoch.Epoch, was.Epoch.GetEpoch())
		}
	})
	if err != nil {
		return Lineage{}, fmt.Errorf("take over partition %d: %w", p, err)
	}
	return now, nil
}

func checkTakeOver(was Lineage, next *storedv1.Epoch, chain *storedv1.Chain, me id.GenerationalNode) error {
	old := was.Chain.GetSegments()
	switch {
	case next.Epoch <= was.Epoch.GetEpoch():
		return errs.Newf(errs.Internal, "epoch %d after %d", next.Epoch, was.Epoch.GetEpoch())
	case next.Node != uint32(me.Node) || next.Generation != me.Generation:
		return errs.Newf(errs.Internal, "epoch of N%d:%d proposed by %s", next.Node, next.Generation, me)
	case len(chain.Segments) == 0:
		return errs.Newf(errs.Internal, "chain without a segment")
	case len(old) > 0 && chain.Segments[len(chain.Segments)-1].Index <= old[len(old)-1].Index:
		return errs.Newf(errs.Internal, "segment %d after %d", chain.Segments[len(chain.Segments)-1].Index, old[len(old)-1].Index)
	}
	return nil
}

// chainWrites cuts full pages off the front and writes what is left to the key of the chain.
func (s *Store) chainWrites(p id.Partition, pages uint32, chain *storedv1.Chain) ([]Write, error) {
	paged := int(pages) * pageSegments
	if len(chain.Segments) < paged {
		return nil, errs.Newf(errs.Internal, "chain of partition %d lost segments: %d of %d", p, len(chain.Segments), paged)
	}
	rest := chain.Segments[paged:]
	var writes []Write
	for len(rest) >= pageSegments+tailSegments {
		w, err := put(s.keys.page(p, pages), &storedv1.Chain{Segments: rest[:pageSegments]})
		if err != nil {
			return nil, err
		}
		writes = append(writes, w)
		rest = rest[pageSegments:]
		pages++
	}
	w, err := put(s.keys.chain(p), &storedv1.Chain{Segments: rest, Pages: pages})
	return append(writes, w), err
}
