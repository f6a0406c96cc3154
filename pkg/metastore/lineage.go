package metastore

import (
	"context"
	"fmt"
	"slices"

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
	paged                        int // how many segments of the chain are in pages
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
	l := Lineage{Epoch: &storedv1.Epoch{}}
	if l.epochRevision, err = decode(got[0], l.Epoch); err != nil {
		return Lineage{}, 0, err
	}
	tail := &storedv1.Chain{}
	if l.chainRevision, err = decode(got[1], tail); err != nil {
		return Lineage{}, 0, err
	}
	if l.Chain, l.paged, err = joinPages(p, tail, got[2]); err != nil {
		return Lineage{}, 0, err
	}
	generation, _, err := generationIn(got[3], s.keys.generation(n))
	return l, generation, err
}

// joinPages returns the chain whose key holds tail, with the segments in its pages, of which there are paged.
func joinPages(p id.Partition, tail *storedv1.Chain, pages []Item) (chain *storedv1.Chain, paged int, err error) {
	if len(pages) != int(tail.Pages)-int(tail.FirstPage) {
		return nil, 0, errs.Newf(errs.Corrupt, "chain of partition %d has pages %d to %d, found %d", p, tail.FirstPage, tail.Pages, len(pages))
	}
	chain = &storedv1.Chain{Pages: tail.Pages, Trimmed: tail.Trimmed, FirstIndex: tail.FirstIndex, FirstPage: tail.FirstPage}
	for i := range pages {
		page := &storedv1.Chain{}
		if _, err := decode(pages[i:i+1], page); err != nil {
			return nil, 0, err
		}
		chain.Segments = append(chain.Segments, page.Segments...)
	}
	// A page is there until all that is in it is gone.
	chain.Segments = slices.DeleteFunc(chain.Segments, func(s *storedv1.Segment) bool { return s.Index < tail.FirstIndex })
	paged = len(chain.Segments)
	chain.Segments = append(chain.Segments, tail.Segments...)
	return chain, paged, nil
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
	writes, err := s.chainWrites(p, was, chain.Segments)
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

// chainWrites cuts full pages off the front and writes what is left to the key of the chain. segments go on from those of was.
func (s *Store) chainWrites(p id.Partition, was Lineage, segments []*storedv1.Segment) ([]Write, error) {
	if len(segments) < was.paged {
		return nil, errs.Newf(errs.Internal, "chain of partition %d lost segments: %d of %d", p, len(segments), was.paged)
	}
	tail := &storedv1.Chain{
		Segments: segments[was.paged:], Pages: was.Chain.GetPages(), Trimmed: was.Chain.GetTrimmed(),
		FirstIndex: was.Chain.GetFirstIndex(), FirstPage: was.Chain.GetFirstPage(),
	}
	var writes []Write
	for len(tail.Segments) >= pageSegments+tailSegments {
		w, err := put(s.keys.page(p, tail.Pages), &storedv1.Chain{Segments: tail.Segments[:pageSegments]})
		if err != nil {
			return nil, err
		}
		writes = append(writes, w)
		tail.Segments = tail.Segments[pageSegments:]
		tail.Pages++
	}
	w, err := put(s.keys.chain(p), tail)
	return append(writes, w), err
}
