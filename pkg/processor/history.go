package processor

import (
	"errors"

	"reprise/pkg/errs"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
)

// aheadOfLog is what a partition is called whose store is.
const aheadOfLog = "ahead-of-log"

// errAhead: the store holds what its log does not. It only holds what was committed, so the log lost it.
var errAhead = errors.New("the log lost records")

// checkHistory finds stores that are ahead of their log, although that may be as long or longer by now. The first record of
// a segment announces its epoch: who has applied something of the last segment knows the newest epoch. Who has come as far
// and does not has other records there.
func checkHistory(p *part, l metastore.Lineage) error {
	m, segments := p.store.Meta(), l.Chain.GetSegments()
	if len(segments) == 0 {
		return checkTail(p, lsn.First)
	}
	base, epoch := segments[len(segments)-1].Base, l.Epoch.GetEpoch()
	if m.GetApplied() < base || m.GetEpoch() == epoch {
		return nil
	}
	return errs.Newf(errs.Corrupt, "the store has applied %d in epoch %d, the log begins epoch %d at %d: %w", m.GetApplied(), m.GetEpoch(), epoch, base, errAhead)
}

// checkTail finds stores that have applied more than their log has.
func checkTail(p *part, tail lsn.LSN) error {
	if applied := lsn.LSN(p.store.Meta().GetApplied()); applied >= tail {
		return errs.Newf(errs.Corrupt, "the store has applied %d, the log ends before %d: %w", applied, tail, errAhead)
	}
	return nil
}
