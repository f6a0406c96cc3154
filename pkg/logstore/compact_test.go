package logstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"reprise/pkg/lsn"
)

// Records that were trimmed give their space back, and the others stay.
func TestCompact(t *testing.T) {
	s := open(t, vfs.NewMem())
	defer closeStore(t, s)
	const groups, each = 400, 100
	for i := range groups {
		put(t, s, lsn.Offset(1+i*each), each, false)
	}
	if _, _, err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := s.NewBatch()
	check(t, b.Trim(ref.Loglet, groups*each-each))
	check(t, b.Commit(true))
	check(t, b.Close())
	before, after, err := s.Compact(t.Context())
	if err != nil || before < 10*after || after == 0 {
		t.Errorf("%d bytes, then %d: %v", before, after, err)
	}
	r, err := s.Load(ref.Loglet)
	if err != nil || r.Tail != groups*each+1 || r.Trimmed != groups*each-each {
		t.Errorf("afterwards: %+v %v", r, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	put(t, s, groups*each+1, each, false)
	if _, _, err := s.Compact(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits for it: %v", err)
	}
}
