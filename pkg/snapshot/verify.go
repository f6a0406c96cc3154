package snapshot

import (
	"context"

	"reprise/pkg/errs"
	"reprise/pkg/id"
)

// Verify is Latest, and finds that all retained snapshots can be restored as far as that shows without reading their files:
// each metadata is whole, and each file is there in its size. The code is Corrupt if not.
func (r *Repository) Verify(ctx context.Context, p id.Partition) (*Latest, error) {
	l, err := r.Latest(ctx, p)
	if err != nil {
		return nil, err
	}
	there, err := r.list(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, ref := range l.Retained {
		m, err := r.metadata(ctx, p, ref)
		if errs.Is(err, errs.NotFound) {
			return nil, errs.With(errs.Corrupt, err)
		}
		if err != nil {
			return nil, err
		}
		for i := range m.Files {
			f := &m.Files[i]
			if size, ok := there[prefixOf(p)+f.Path]; !ok || size != f.SizeBytes {
				return nil, errs.Newf(errs.Corrupt, "%s of snapshot %s is missing, or has another size", f.Path, ref.SnapshotID)
			}
		}
	}
	return l, nil
}
