package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
)

// applyAnnounce begins the reign of a leader: from here on records of lower epochs change nothing.
func (a *application) applyAnnounce() error {
	var c storedv1.Announcement
	if err := c.UnmarshalVT(a.rec.Facts); err != nil {
		return a.badFacts(err)
	}
	m := a.meta
	if c.KeyFrom > c.KeyTo || c.Partitions == 0 {
		return errs.Newf(errs.Corrupt, "announcement at %d of keys %d to %d, %d partitions", a.rec.LSN, c.KeyFrom, c.KeyTo, c.Partitions)
	}
	if m.Partitions != 0 && (m.Partitions != c.Partitions || m.KeyFrom != c.KeyFrom || m.KeyTo != c.KeyTo) {
		return errs.Newf(errs.Corrupt, "announcement at %d of keys %d to %d of %d partitions; this partition has %d to %d of %d",
			a.rec.LSN, c.KeyFrom, c.KeyTo, c.Partitions, m.KeyFrom, m.KeyTo, m.Partitions)
	}
	m.Epoch, m.Seq = uint64(a.rec.Epoch), a.rec.Seq
	m.KeyFrom, m.KeyTo, m.Partitions = c.KeyFrom, c.KeyTo, c.Partitions
	m.LeaderNode, m.LeaderGeneration = c.Node, c.Generation
	a.emit(Effect{Kind: EffectLead, Epoch: a.rec.Epoch})
	return nil
}
