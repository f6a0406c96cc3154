package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
)

// Versions say what commands mean. A partition begins with version 0, and a Barrier in its log raises it: what was
// applied before keeps its meaning in each replay. docs/formats/record.md tells what each version changed.
const (
	// VersionShares has one message for several invocations of a partition that wait for a result.
	VersionShares = 1

	// VersionMax is the newest version that this binary applies. It applies all older ones, too.
	VersionMax = VersionShares
)

// CheckVersion tells whether this binary may go on with a partition of that version. errs.Unsupported: it may not, and the
// error says what to do.
func CheckVersion(version uint32) error {
	if version <= VersionMax {
		return nil
	}
	return errs.Newf(errs.Unsupported, "the partition has version %d, this binary applies up to %d: run the release that the other workers run, or a newer one", version, VersionMax)
}

// applyBarrier gives all that follows the meaning of a version.
func (a *application) applyBarrier() error {
	var c storedv1.BarrierFacts
	if err := c.UnmarshalVT(a.rec.Facts); err != nil {
		return a.badFacts(err)
	}
	if err := CheckVersion(c.Version); err != nil {
		return err
	}
	a.meta.Version = max(a.meta.Version, c.Version)
	return nil
}
