package registry

import (
	"context"
	"fmt"

	"reprise/pkg/metastore"
)

// Watched is the View of a process that watches the metadata.
func Watched(v *metastore.View) View { return watched{v} }

type watched struct{ *metastore.View }

// WaitFor returns once the watched schema has at least the version.
func (w watched) WaitFor(ctx context.Context, version uint64) error {
	_, err := w.Await(ctx, func(s *metastore.Snapshot) bool { return s.Registry.Version() >= version })
	if err != nil {
		return fmt.Errorf("schema %d: %w", version, err)
	}
	return nil
}
