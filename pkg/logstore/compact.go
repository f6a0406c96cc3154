package logstore

import (
	"context"
	"fmt"
)

// Compact merges all that is stored into one layer, without what was trimmed, and returns how many bytes of disk the store took
// before and takes now. What is written meanwhile goes on.
func (s *Store) Compact(ctx context.Context) (before, after uint64, err error) {
	before = uint64(s.db.Metrics().Total().TablesSize)
	if err := s.db.Compact(ctx, []byte{0}, []byte{0xff, 0xff}, false); err != nil {
		return before, 0, fmt.Errorf("compact log store: %w", err)
	}
	return before, uint64(s.db.Metrics().Total().TablesSize), nil
}
